"""Converts protobuf messages, HTTP bodies and statuses to values and errors. Knows no call."""
