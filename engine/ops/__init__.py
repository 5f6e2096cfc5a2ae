"""Tensor operations: grouped low-rank products and packed attention, with their gradients.

Pure functions of tensors. They know no module of a base, no adapter and no slot.
"""
