"""Metrics of predictions, in NumPy alone: accuracy, F1, correlation, exact match, ROUGE.

Pure functions of labels and predictions.
"""
