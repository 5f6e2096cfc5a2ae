"""What operators do to the shared state without a server: back up, collect, repair, erase."""
