"""From admitted rows to engine steps: which rows next, on which slots, with which weights."""
