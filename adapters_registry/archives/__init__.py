"""Foreign archives of adapters: every entry is listed and checked before any is unpacked.

Owns the formats and their tricks. Knows no kind, no version and nothing of what is in a file.
"""
