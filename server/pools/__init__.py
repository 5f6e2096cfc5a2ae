"""Threads for blocking work, one pool a kind of work, with a share of each for every tenant."""
