"""Where the engine runs: in a process of its own under supervision, or in a thread of this one.

Owns the queue of steps and the frames between processes. Knows no step by kind. All but `in_thread`
are torch-free.
"""
