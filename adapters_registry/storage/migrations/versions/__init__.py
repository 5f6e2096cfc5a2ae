"""One file for each step of the schema, forward and back."""
