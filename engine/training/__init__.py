"""Training steps: forward, loss, gradients and optimizer of the slots that are being trained.

Knows rows, slots and weights; neither jobs, files nor epochs.
"""
