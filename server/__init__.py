"""The server: gRPC, HTTP, tenants, queue and batching. Never imports torch."""
