"""One forward over rows of many adapters: what acts where, the layers shared, the rows answered.

Knows rows, slots and layers; neither generation nor training.
"""
