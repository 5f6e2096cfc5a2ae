"""Runs: the training loop, early stopping, checkpoints, seeds and hyperparameter search.

Knows the engine's port and folders; no database and no registry.
"""
