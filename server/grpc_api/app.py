"""Builds the gRPC server: services, interceptors, health, reflection and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from adapterd.v1 import adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from server.config import Settings
from server.errors import PortInUse
from server.grpc_api import reflection
from server.grpc_api.adapters import AdaptersApi
from server.grpc_api.checks import ChecksApi
from server.grpc_api.handlers import UnknownMethods, make_handlers
from server.grpc_api.health import HealthApi
from server.grpc_api.interceptors import CallInterceptor
from server.grpc_api.jobs import JobsApi
from server.grpc_api.messages import TOLERANCE
from server.grpc_api.methods import Method, methods_of
from server.grpc_api.predictor import PredictorApi
from server.grpc_api.reflection import ReflectionApi
from server.grpc_api.tasks import TasksApi
from server.health import Health
from server.limits import MOST_HEALTH_WATCHES, CallLimits, UploadLimits
from server.service.service import Service

#: a client with more calls at once waits or opens another connection
_STREAMS_PER_CONNECTION = 1024
#: connections are closed after this time, once their calls have ended, to balance load again
_CONNECTION_AGE_MS = 3_600_000
# generated modules type their descriptors with an internal class of protobuf
_HEALTH: Any = health_pb2.DESCRIPTOR
_CONTRACT = [
    module.DESCRIPTOR for module in (adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2)
]


def bind(
    settings: Settings,
    max_connections: int,
    interceptors: Sequence[CallInterceptor],
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, int]:
    """A server that holds its port and does not answer yet. Raises PortInUse."""
    head_ms, idle_ms = (round(s * 1000) for s in (settings.head_timeout_s, settings.idle_timeout_s))
    server = grpc.aio.server(
        interceptors=interceptors,
        options=[
            # otherwise a second server could share the port and get half of the calls
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", TOLERANCE * settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
            # limits of a connection without a call: handshake, idle time, age and pings
            ("grpc.max_allowed_incoming_connections", max_connections),
            ("grpc.server_handshake_timeout_ms", head_ms),
            ("grpc.http2.settings_timeout", head_ms),
            ("grpc.max_connection_idle_ms", 4 * idle_ms),
            ("grpc.max_connection_age_ms", _CONNECTION_AGE_MS),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.http2.max_ping_strikes", 4),
        ],
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise PortInUse(
            f"gRPC cannot listen on {address}: another program listens there"
        ) from error
    return server, port


def serve(
    server: grpc.aio.Server,
    service: Service,
    state: Health,
    methods: dict[str, Method],
    *,
    calls: CallLimits,
    uploads: UploadLimits,
    max_message_bytes: int,
) -> list[str]:
    """Register every service, and its methods in `methods`; returns the services' names."""
    apis: dict[Any, object] = {
        predictor_pb2.DESCRIPTOR.services_by_name["Predictor"]: PredictorApi(
            service.predict, service.predict_many, service.generate, calls
        ),
        tasks_pb2.DESCRIPTOR.services_by_name["Tasks"]: TasksApi(service.tasks),
        adapters_pb2.DESCRIPTOR.services_by_name["Adapters"]: AdaptersApi(
            service.adapters, uploads
        ),
        jobs_pb2.DESCRIPTOR.services_by_name["Jobs"]: JobsApi(service.jobs),
        checks_pb2.DESCRIPTOR.services_by_name["Checks"]: ChecksApi(service.checks),
    }

    def register(descriptor: Any, api: object, name: str | None = None) -> None:
        offered, name = methods_of(descriptor, name), name or descriptor.full_name
        methods.update({f"/{name}/{method}": known for method, known in offered.items()})
        handlers = make_handlers(offered, api, max_message_bytes)
        server.add_registered_method_handlers(name, handlers)

    for descriptor, api in apis.items():
        register(descriptor, api)
    contract = [descriptor.full_name for descriptor in apis]
    health = _HEALTH.services_by_name["Health"]
    register(health, HealthApi(state, contract, MOST_HEALTH_WATCHES))
    names = [*contract, health.full_name, *reflection.SERVICES]
    described = ReflectionApi(names, [*_CONTRACT, _HEALTH])
    for name in reflection.SERVICES:
        register(reflection.DESCRIPTOR, described, name)
    server.add_generic_rpc_handlers((UnknownMethods(),))
    return names
