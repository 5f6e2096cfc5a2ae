"""Continuous batching inside the engine: running sequences, and the forwards that extend them.

Knows slots and rows. Which requests run is decided outside, by whoever sends the steps.
"""
