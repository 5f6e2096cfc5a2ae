"""Batch prediction: rows of a file or of stdin in, the same rows with answers out.

Reads text, JSON Lines, JSON and CSV with the standard library alone; knows no call and no channel.
"""
