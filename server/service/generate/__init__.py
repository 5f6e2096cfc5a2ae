"""Generation calls, from prompts to completions: whole or as a stream, for every transport."""
