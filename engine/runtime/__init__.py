"""Runs the engine in a supervised process, or in a thread of this process.

Owns the queue of steps, the threads beside the loop and the frames between processes. What the
server's process imports (`supervisor`, `framing`) is torch-free.
"""
