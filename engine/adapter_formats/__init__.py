"""What the configuration files of an adapter say, whoever wrote them: PEFT, sentence-transformers.

Reads names, fields and shapes as plain data. Torch-free; knows no loaded weight and no slot.
"""
