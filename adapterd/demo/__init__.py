"""The demonstration: one command that shows the whole promise, and checks it while it does."""
