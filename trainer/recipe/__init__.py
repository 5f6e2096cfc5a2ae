"""The recipe of a job: its settings in the engine's terms, checked against the base. Computes
nothing.
"""
