"""What running rows have read: keys and values in blocks, or a rectangle beside a source.

Whose each block is, what it holds and how attention looks back on it. Knows no adapter, no slot
and no scheduling: the runners in `engine/generation` decide who reads.
"""
