"""Kernels for these tests."""

from tests.interpreted import interpreted

__all__ = ["interpreted"]
