"""Collects bytes that nothing refers to any more."""
