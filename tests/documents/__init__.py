"""The blocks of code in the documents: each is read, checked, and run against a real server."""
