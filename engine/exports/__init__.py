"""One version as a model of its own: its adapter folded into the base, as stock files or as ONNX.

Knows no server. Whether what was written answers as the server does is the caller's to compare.
"""
