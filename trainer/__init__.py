"""Turns labelled rows into published versions. Touches no tensors: everything computed goes through
the engine port.
"""
