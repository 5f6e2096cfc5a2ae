"""The commands that ask versions for answers: `predict`, `evaluate` and `compare`."""
