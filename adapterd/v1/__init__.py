"""The messages and stubs of the gRPC package `adapterd.v1`, generated from `protos/`.

Knows neither the client nor the server, which both use these classes.
"""
