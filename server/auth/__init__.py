"""Who is calling: keys, and the callers they stand for. The same for both transports."""
