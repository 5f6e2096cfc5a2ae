"""Adapters with their heads: read from a version's files, made fresh, composed, kept in memory.

Owns their tensors, on the host by digest and on the device by slot. Knows no forward and no step.
"""
