"""The frozen base: where it comes from, how it is loaded, and the layers as they are run.

Owns the base's weights and numerics. Knows no adapter.
"""
