"""How a process writes its log: format, repeated lines, destination. Torch-free; knows no event."""
