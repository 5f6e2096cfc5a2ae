"""Runs the engine in a supervised process, or in a thread of this process.

Owns the queue of steps and the frames between processes. Knows no step by kind. All but `in_thread`
are torch-free.
"""
