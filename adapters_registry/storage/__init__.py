"""Bytes and directories on disk: blobs by digest, scratch directories, private files.

Knows nothing of versions.
"""
