"""Finds where rows and bytes are out of step, and mends it."""
