"""Measurements against live peers; every figure in the documentation is printed by one of these."""
