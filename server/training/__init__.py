"""Where a server's jobs run: in its own engine, or in a process with an engine of its own."""
