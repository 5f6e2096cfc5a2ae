"""The messages and stubs of the gRPC package `adapterd.v1`, generated from `protos/`.

Knows nothing of the client or the server, which both speak with these classes.
"""
