"""Benchmarks against other libraries; they print every figure in the documentation."""
