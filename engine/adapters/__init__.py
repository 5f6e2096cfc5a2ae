"""Adapters with their heads: read from files, initialized for training, composed, held in memory.

Owns their tensors, on the host by digest and on the device by slot. Knows no forward and no step.
"""
