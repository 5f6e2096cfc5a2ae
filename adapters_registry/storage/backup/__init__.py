"""Copies of everything in a directory or bucket, and the way back."""
