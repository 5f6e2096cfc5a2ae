"""The services of adapterd/v1/jobs.proto. Written by `make protos` from protos/adapterd/v1/jobs.proto; do not edit."""

from adapterd.v1 import jobs_pb2
from adapterd.v1.stub_class import stub_class

JobsStub = stub_class(jobs_pb2.DESCRIPTOR.services_by_name["Jobs"])
