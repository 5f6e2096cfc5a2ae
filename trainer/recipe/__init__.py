"""What a job trains: its settings in the engine's terms, checked against the base.

Computes nothing.
"""
