"""What a slot answers to encoded rows, and what the answers are worth.

Knows the engine's port; neither jobs nor the training loop.
"""
