"""Computes a slot's answers to encoded rows, and scores them.

Knows the engine's port; neither jobs nor the training loop.
"""
