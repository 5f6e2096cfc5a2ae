"""Texts, conversations and prompts as tokens, and tokens as text.

The server and the trainer share it, so that a version is served as it was trained. Torch-free.
"""
