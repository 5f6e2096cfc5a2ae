"""The listening HTTP port and its open connections, bounded in number and time.

Knows bytes and addresses; no route and no key.
"""
