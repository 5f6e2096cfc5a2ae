"""Runs work on untrusted files in child processes with limits on memory, processor time and elapsed
time.

Knows processes and limits; no file, no job.
"""
