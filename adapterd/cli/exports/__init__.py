"""`adapterd adapters export`: one file for each layout that it writes."""
