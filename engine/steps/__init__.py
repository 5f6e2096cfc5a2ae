"""What one step of each type does to the resident base; one file each."""
