"""Terminal output: tables, answers and progress bars. Knows the client's values; calls nothing."""
