"""From records to encoded rows: examples, splits and batches. Knows the tokenizer and the heads; no
slot and no run.
"""
