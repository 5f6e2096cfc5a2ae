"""Validates and tokenizes the inputs of a call; an invalid input gets an error of its own."""
