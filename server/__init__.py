"""The front door: gRPC, HTTP, tenants, queue and batching. Never imports torch."""
