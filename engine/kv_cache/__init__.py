"""The KV cache of running sequences: blocks for decoders, rectangles for encoder-decoder models.

Allocates the blocks and attends over them. Knows no adapter, no slot and no scheduling: the runners
in `engine/generation` decide which sequences run.
"""
