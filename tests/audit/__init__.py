"""The audit log and what is recorded in it."""
