"""The services of adapterd/v1/adapters.proto. Written by `make protos` from protos/adapterd/v1/adapters.proto; do not edit."""

from adapterd.v1 import adapters_pb2
from adapterd.v1.stub_class import stub_class

AdaptersStub = stub_class(adapters_pb2.DESCRIPTOR.services_by_name["Adapters"])
