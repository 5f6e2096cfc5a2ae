"""Reads the configuration files of adapters: those of PEFT, AdapterHub and sentence-transformers.

Names, fields and shapes as plain data. Torch-free; knows no loaded weight and no slot.
"""
