"""Every call of the API as a value, and what it may be given. Knows no channel.

Both clients send these, so that each call is written once.
"""
