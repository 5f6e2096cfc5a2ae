"""The routes of OpenAI's API over the same service: shapes, errors and event streams."""
