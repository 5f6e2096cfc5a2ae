"""The gRPC API: thin shells by resource over the one `Service`."""
