"""Jobs, their events and their files, in SQLite: states, transitions, leases, recovery.

Knows no engine, no tokens and no training loop.
"""
