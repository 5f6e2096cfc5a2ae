"""Checks of labelled rows before anything is trained on them: problems and notable facts.

A check is one function over a `Subject` and one line in `trainer/data_checks/checks.py`.
"""
