"""Schedules admitted rows as steps of the engine: which rows, in which slots."""
