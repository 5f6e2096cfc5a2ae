"""Predict calls: one task, or many tasks over one text."""
