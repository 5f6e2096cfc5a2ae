"""The gRPC contract, and what generates `adapterd/v1/` from it. Not installed."""
