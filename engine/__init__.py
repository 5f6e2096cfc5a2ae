"""The frozen base and everything computed on it.

Knows slots and rows; never a tenant, task or request.
"""
