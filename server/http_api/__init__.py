"""The native HTTP API: thin shells by resource over the one `Service`."""
