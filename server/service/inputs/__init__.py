"""The inputs of a call: validated, and tokenized. What cannot be a row gets its error in place."""
