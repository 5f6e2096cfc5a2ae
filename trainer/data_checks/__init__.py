"""What is wrong, or only remarkable, with labelled rows, before anything is trained on them.

A check is one function over a `Subject` and one line in `trainer/data_checks/checks.py`.
"""
