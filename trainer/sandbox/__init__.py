"""Work on strangers' files in child processes with limits of memory, processor time and time.

Knows processes and limits; no file, no job.
"""
