"""Bytes, messages and statuses as the client's values and errors. Knows no call by name."""
