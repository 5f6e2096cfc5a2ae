"""One forward over rows of many adapters: the plan of actions, shared layers, answers of rows.

Knows rows, slots and layers; neither generation nor training.
"""
