"""The frozen base: its source, its loading, and ways to run some of its layers.

Owns the base's weights and numerics. Knows no adapter.
"""
