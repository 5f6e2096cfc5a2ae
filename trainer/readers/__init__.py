"""Readers of labelled files: one file per format, and their table in `trainer/readers/reader.py`.
Knows no head.
"""
