"""The gRPC server: services behind the gate, health, reflection, limits."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection, reflection_pb2

from adapterd.v1 import adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from server.config import Settings
from server.errors import PortInUse
from server.grpc_api.adapters import AdaptersApi
from server.grpc_api.checks import ChecksApi
from server.grpc_api.gate import Gate
from server.grpc_api.jobs import JobsApi
from server.grpc_api.predictor import PredictorApi
from server.grpc_api.reflection_pool import reflection_pool
from server.grpc_api.tasks import TasksApi
from server.health import Health, State
from server.limits import UploadLimits
from server.service.service import Service
from server.service.values import Caller

_REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_HEALTH = "grpc.health.v1.Health"
_CONTRACT = [
    module.DESCRIPTOR for module in (adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2)
]


def bind(settings: Settings) -> tuple[grpc.aio.Server, int]:
    """A server that holds its port and answers nothing yet. Raises PortInUse."""
    server = grpc.aio.server(
        options=[
            # otherwise a second server could share the port, and each would get half of the calls
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_concurrent_streams", settings.max_concurrent_calls),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.http2.max_ping_strikes", 4),
        ],
        maximum_concurrent_rpcs=settings.max_concurrent_calls,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        port = server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise PortInUse(
            f"gRPC cannot listen on {host}:{settings.grpc_port}: another program does"
        ) from error
    return server, port


def serve(
    server: grpc.aio.Server, service: Service, gate: Gate, state: Health, uploads: UploadLimits
) -> list[str]:
    """Put every service behind the gate; answers their names."""
    apis: dict[Any, object] = {
        predictor_pb2.DESCRIPTOR.services_by_name["Predictor"]: PredictorApi(
            service.predict, service.predict_many, service.write
        ),
        tasks_pb2.DESCRIPTOR.services_by_name["Tasks"]: TasksApi(service.tasks),
        adapters_pb2.DESCRIPTOR.services_by_name["Adapters"]: AdaptersApi(
            service.adapters, uploads
        ),
        jobs_pb2.DESCRIPTOR.services_by_name["Jobs"]: JobsApi(service.jobs),
        checks_pb2.DESCRIPTOR.services_by_name["Checks"]: ChecksApi(service.checks),
    }
    for descriptor, api in apis.items():
        handlers = gate.handlers(descriptor, api)
        server.add_registered_method_handlers(descriptor.full_name, handlers)
    ours = [descriptor.full_name for descriptor in apis]
    _add_health(server, state, ours)
    _add_reflection(server, gate, [*ours, _HEALTH, *_REFLECTION])
    return [*ours, _HEALTH, *_REFLECTION]


def _add_health(server: grpc.aio.Server, state: Health, services: list[str]) -> None:
    servicer = health.aio.HealthServicer()

    async def tell(now: State) -> None:
        serving = health_pb2.HealthCheckResponse.SERVING
        status = serving if now is State.READY else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *services):
            await servicer.set(name, status)

    state.on_change.append(tell)
    add_HealthServicer_to_server(servicer, server)


def _add_reflection(server: grpc.aio.Server, gate: Gate, services: list[str]) -> None:
    """v1 and v1alpha are the same messages under two names; the library ships only the older."""
    files = [*_CONTRACT, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    servicer = reflection.aio.ReflectionServicer(services, reflection_pool(files))

    def answer(requests: Any, caller: Caller) -> Any:
        del caller  # what is reflected is public to every key
        return servicer.ServerReflectionInfo(requests, None)

    for name in _REFLECTION:
        handler = grpc.stream_stream_rpc_method_handler(
            gate.stream(f"{name}.ServerReflectionInfo", answer),
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})
