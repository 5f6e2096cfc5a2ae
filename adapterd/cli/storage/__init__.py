"""Commands that work on a server's storage, whether or not the server runs."""
