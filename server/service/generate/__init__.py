"""Generation calls: prompts in, sequences through the dispatcher, completions out.

The same for every transport, whole or as a stream.
"""
