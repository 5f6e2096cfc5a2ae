"""Who changed what: one row for each change of state, chained by hashes, never changed again. Knows
no transport.
"""
