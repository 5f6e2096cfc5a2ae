"""The services of adapterd/v1/checks.proto. Written by `make protos` from protos/adapterd/v1/checks.proto; do not edit."""

from adapterd.v1 import checks_pb2
from adapterd.v1.stub_class import stub_class

ChecksStub = stub_class(checks_pb2.DESCRIPTOR.services_by_name["Checks"])
