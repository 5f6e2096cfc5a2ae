"""kill -9 at every write of an action, one run for each write."""
