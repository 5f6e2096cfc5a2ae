"""The services of adapterd/v1/tasks.proto. Written by `make protos` from protos/adapterd/v1/tasks.proto; do not edit."""

from adapterd.v1 import tasks_pb2
from adapterd.v1.stub_class import stub_class

TasksStub = stub_class(tasks_pb2.DESCRIPTOR.services_by_name["Tasks"])
