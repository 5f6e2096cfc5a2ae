"""The gRPC API: one thin class per resource over `Service`."""
