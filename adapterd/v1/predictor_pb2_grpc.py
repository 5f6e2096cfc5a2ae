"""The services of adapterd/v1/predictor.proto. Written by `make protos` from protos/adapterd/v1/predictor.proto; do not edit."""

from adapterd.v1 import predictor_pb2
from adapterd.v1.stub_class import stub_class

PredictorStub = stub_class(predictor_pb2.DESCRIPTOR.services_by_name["Predictor"])
