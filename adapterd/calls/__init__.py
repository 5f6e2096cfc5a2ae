"""Every call of the API as a value, and the checks of its arguments. Knows no channel.

Both clients send these values, so that each call is written once.
"""
