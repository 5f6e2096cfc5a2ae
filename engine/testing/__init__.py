"""A fake engine that keeps the port's contract with NumPy alone, for tests of everything above it.

Torch-free. It is installed, so that other projects can test against it too.
"""
