"""The gRPC server: services behind the gate, health, reflection, limits."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from adapterd.v1 import adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from server.config import Settings
from server.errors import PortInUse
from server.grpc_api import reflection
from server.grpc_api.adapters import AdaptersApi
from server.grpc_api.checks import ChecksApi
from server.grpc_api.health import HealthApi
from server.grpc_api.interceptor import AccessInterceptor
from server.grpc_api.jobs import JobsApi
from server.grpc_api.messages import TOLERANCE
from server.grpc_api.predictor import PredictorApi
from server.grpc_api.reflection import ReflectionApi
from server.grpc_api.tasks import TasksApi
from server.health import Health
from server.limits import MOST_HEALTH_WATCHES, CallLimits, UploadLimits
from server.service.service import Service

#: a client with more calls than that at once has them wait, or opens another connection
_STREAMS_PER_CONNECTION = 1024
#: connections are closed after so long, once the calls on them have ended: callers then spread anew
_CONNECTION_AGE_MS = 3_600_000
# generated modules give their descriptors a type of protobuf's own insides
_HEALTH: Any = health_pb2.DESCRIPTOR
_CONTRACT = [
    module.DESCRIPTOR for module in (adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2)
]


def bind(settings: Settings, max_connections: int) -> tuple[grpc.aio.Server, int]:
    """A server that holds its port and answers nothing yet. Raises PortInUse."""
    head_ms, idle_ms = (round(s * 1000) for s in (settings.head_timeout_s, settings.idle_timeout_s))
    server = grpc.aio.server(
        options=[
            # otherwise a second server could share the port, and each would get half of the calls
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", TOLERANCE * settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
            # what a connection may do without a call: say hello, be idle, ping, grow old
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
    try:
        port = server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError as error:
        raise PortInUse(
            f"gRPC cannot listen on {host}:{settings.grpc_port}: another program does"
        ) from error
    return server, port


def serve(
    server: grpc.aio.Server,
    service: Service,
    gate: AccessInterceptor,
    state: Health,
    *,
    calls: CallLimits,
    uploads: UploadLimits,
) -> list[str]:
    """Put every service behind the gate; answers their names."""
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
    for descriptor, api in apis.items():
        handlers = gate.handlers(descriptor, api)
        server.add_registered_method_handlers(descriptor.full_name, handlers)
    ours = [descriptor.full_name for descriptor in apis]
    health = _HEALTH.services_by_name["Health"]
    names = [*ours, health.full_name, *reflection.SERVICES]
    handlers = gate.handlers(health, HealthApi(state, ours, MOST_HEALTH_WATCHES))
    server.add_registered_method_handlers(health.full_name, handlers)
    described = ReflectionApi(names, [*_CONTRACT, _HEALTH])
    for name in reflection.SERVICES:
        handlers = gate.handlers(reflection.DESCRIPTOR, described, name)
        server.add_registered_method_handlers(name, handlers)
    server.add_generic_rpc_handlers((gate.unknown(),))
    return names
