"""How an adapter comes in: file by file, in an archive, or from a hub. Knows no kind of adapter."""
