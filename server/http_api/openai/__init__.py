"""OpenAI's inference routes over the same service: shapes, errors and event streams."""
