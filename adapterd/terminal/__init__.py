"""What people read in a terminal: tables, answers, progress. Knows values; sends nothing."""
