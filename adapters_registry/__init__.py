"""The registry: names, immutable versions, aliases, digests and the bytes behind them.

Never torch, never a tensor.
"""
