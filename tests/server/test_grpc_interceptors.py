"""What gRPC calls pass before a method reads them: the key, the tenant's share, their bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from adapterd.v1 import adapters_pb2, predictor_pb2
from server.auth.key_file import create_key
from server.error_table import fault_of
from server.errors import BadParameter, Overloaded, TooManyCalls
from server.grpc_api.calls import Calls
from server.grpc_api.health import HealthApi
from server.grpc_api.status import message_of, trailers_of
from server.health import Health, State
from server.main import Server
from tests.server.build import channel_to, running
from tests.server.test_metrics import scrape

LIST_TASKS = "/adapterd.v1.Tasks/ListTasks"
PREDICT = "/adapterd.v1.Predictor/Predict"
BAD = {
    "wire format": b"\xff\xff\xff",
    "text that is not UTF-8": b"\x0a\x02\xff\xfe",
    "cut short": b"\x0a\x7fmood",
    "an invented group": b"\x0b" * 200,
}


class Raw:
    """Calls of any bytes to any method."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self.channel = channel_to(f"127.0.0.1:{server.ports.grpc}")
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()

    async def __aenter__(self) -> Raw:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    async def ask(self, method: str, content: bytes) -> bytes:
        call = self.channel.unary_unary(method)
        response: bytes = await call(content, metadata=self._metadata, timeout=20)
        return response

    async def refused(self, method: str, content: bytes) -> tuple[grpc.StatusCode, str, str]:
        """Its status, our code, and the sentence."""
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await self.ask(method, content)
        trailers = dict(refusal.value.trailing_metadata() or ())
        return (
            refusal.value.code(),
            str(trailers.get("adapterd-code")),
            refusal.value.details() or "",
        )


def length_delimited(number: int, content: bytes) -> bytes:
    size, head = len(content), bytes([number << 3 | 2])
    while size > 127:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return head + bytes([size]) + content


def nested(depth: int) -> bytes:
    """Parameters of one Struct in another."""
    content = b""
    for _ in range(depth):
        value = length_delimited(5, content)
        content = length_delimited(1, length_delimited(1, b"k") + length_delimited(2, value))
    parameters = predictor_pb2.PredictRequest.DESCRIPTOR.fields_by_name["parameters"]
    return length_delimited(parameters.number, content)


@pytest.mark.survival("B10", "C3")
@pytest.mark.parametrize("content", [*BAD.values(), nested(5000)], ids=[*BAD, "deep"])
async def test_bytes_that_are_no_message_are_refused_by_code_and_without_a_traceback(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as server, Raw(server) as raw:
        code, ours, sentence = await raw.refused(PREDICT, content)
        text = await scrape(server)
    assert (code, ours) == (grpc.StatusCode.INVALID_ARGUMENT, "bad_request")
    assert sentence.startswith("The message cannot be read as adapterd.v1.PredictRequest")
    assert 'requests_total{code="bad_request",method="Predict",transport="grpc"} 1.0' in text
    assert [each for each in caplog.records if each.levelname in ("ERROR", "WARNING")] == []


async def test_bytes_that_are_no_message_end_a_register_stream_by_code(tmp_path: Path) -> None:
    metadata = adapters_pb2.RegisterMetadata(task_id="mood", head="classify", labels=["a", "b"])
    first = adapters_pb2.RegisterRequest(metadata=metadata).SerializeToString()
    async with running(tmp_path) as server, Raw(server) as raw:
        for messages in ([b"\xff\xff\xff"], [first, b"\xff\xff\xff"]):
            call = raw.channel.stream_unary("/adapterd.v1.Adapters/Register")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call(_each(messages), timeout=20)
            trailers = dict(refusal.value.trailing_metadata() or ())
            assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert trailers["adapterd-code"] == "bad_request"


async def _each(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


@pytest.mark.survival("B1")
async def test_without_a_key_no_byte_of_a_message_is_looked_at(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys"
    _, key = create_key(keys_file, "acme", "use")
    async with running(tmp_path / "data", keys_file=keys_file) as server:
        async with Raw(server) as raw:
            for content in (*BAD.values(), b"x" * 15_000_000, b"x" * 70_000_000):
                code, ours, _ = await raw.refused(PREDICT, content)
                assert (code, ours) == (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
        async with Raw(server, key) as raw:
            assert (await raw.refused(PREDICT, BAD["cut short"]))[1] == "bad_request"


@pytest.mark.survival("C1")
async def test_a_message_over_the_limit_is_too_large_and_no_overload(tmp_path: Path) -> None:
    async with running(tmp_path, max_message_bytes=100_000) as server, Raw(server) as raw:
        code, ours, sentence = await raw.refused(PREDICT, b"x" * 100_001)
        assert (code, ours) == (grpc.StatusCode.INVALID_ARGUMENT, "body_too_large")
        assert sentence == "The message has 100001 bytes; at most 100000 are allowed."
        code, _, sentence = await raw.refused(PREDICT, b"x" * 500_000)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED  # gRPC's own refusal
        assert "larger than max" in sentence


@pytest.mark.survival("C5")
async def test_inputs_are_counted_before_they_are_read(tmp_path: Path) -> None:
    inputs = predictor_pb2.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number
    async with running(tmp_path) as server, Raw(server) as raw:
        code, ours, _ = await raw.refused(PREDICT, length_delimited(inputs, b"") * 1_000_000)
    assert (code, ours) == (grpc.StatusCode.INVALID_ARGUMENT, "too_many_inputs")


@pytest.mark.survival("C7")
async def test_unknown_methods_are_unimplemented_and_one_series(tmp_path: Path) -> None:
    async with running(tmp_path) as server, Raw(server) as raw:
        for method in ("/adapterd.v1.Predictor/Guess", "/x.Y/" + "z" * 500, "/x"):
            code, ours, _ = await raw.refused(method, b"\xff")
            assert (code, ours) == (grpc.StatusCode.UNIMPLEMENTED, "unknown_method")
        text = await scrape(server)
    assert 'requests_total{code="unknown_method",method="unmatched",transport="grpc"} 3.0' in text


@pytest.mark.survival("H2")
def test_one_tenants_calls_and_streams_leave_others_room() -> None:
    calls = Calls(8)
    with calls.track("acme", is_stream=True), calls.track("acme", is_stream=True):
        with pytest.raises(TooManyCalls, match="2 streams"), calls.track("acme", is_stream=True):
            pass
        tracked = [calls.track("acme", is_stream=False) for _ in range(4)]
        for each in tracked:
            each.__enter__()
        with pytest.raises(TooManyCalls, match="6 calls"), calls.track("acme", is_stream=False):
            pass
        others = [calls.track("globex", is_stream=True) for _ in range(2)]
        for each in others:
            each.__enter__()
        with pytest.raises(TooManyCalls, match="8 calls"), calls.track("third", is_stream=False):
            pass
        for each in tracked + others:
            each.__exit__(None, None, None)
    with calls.track("acme", is_stream=True):
        pass


async def test_calls_over_a_tenants_share_are_told_when_to_come_back(tmp_path: Path) -> None:
    """And are counted like any other refusal."""
    async with running(tmp_path, max_concurrent_calls=4) as server, Raw(server) as raw:
        reflect = raw.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        first = reflect(timeout=20)
        await first.write(
            reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        )
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await reflect(timeout=20).read()
        first.cancel()
        text = await scrape(server)
    trailers = dict(refusal.value.trailing_metadata() or ())
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert trailers["adapterd-code"] == "too_many_calls"
    assert trailers["grpc-retry-pushback-ms"] == "1000"
    assert RetryInfo.DESCRIPTOR.full_name.encode() in trailers["grpc-status-details-bin"]
    assert 'code="too_many_calls",method="ServerReflectionInfo",transport="grpc"} 1.0' in text


@pytest.mark.survival("C11")
@pytest.mark.skipif(sys.platform != "linux", reason="a process sees its own sockets on Linux only")
async def test_half_open_connections_keep_no_new_caller_out(tmp_path: Path) -> None:
    """And those who have called keep their connection, however old it is."""
    async with running(tmp_path, max_connections=16) as server, Raw(server) as old:
        await old.ask(LIST_TASKS, b"")
        (kept,) = server.grpc_connections.peers()
        with contextlib.ExitStack() as opened:
            for _ in range(8):
                for _ in range(4):
                    half = socket.create_connection(("127.0.0.1", server.ports.grpc))
                    opened.enter_context(half).sendall(b"PRI * HTTP/2.0\r\n")
                await asyncio.sleep(0.25)
            async with Raw(server) as new:
                assert await new.ask(LIST_TASKS, b"") == b""
            assert await old.ask(LIST_TASKS, b"") == b""
            peers = server.grpc_connections.peers()
    assert kept in peers
    assert len(peers) <= 10


# ------------------------------------------------------------------ health


@pytest.mark.survival("C11")
async def test_health_watches_take_no_calls_from_others(tmp_path: Path) -> None:
    async with running(tmp_path, max_concurrent_calls=4) as server, Raw(server) as raw:
        watches = [raw.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"") for _ in range(4)]
        for watch in watches:
            assert await watch.read() == b"\x08\x01"
        assert await raw.ask(LIST_TASKS, b"") == b""
        for watch in watches:
            watch.cancel()


async def test_the_connection_with_most_health_watches_loses_its_oldest() -> None:
    api = HealthApi(Health(), [], most_watches=3)
    request = health_pb2.HealthCheckRequest()
    quiet = api.watch(request, "quiet")
    greedy = [api.watch(request, "greedy") for _ in range(3)]
    for watch in (quiet, *greedy):
        assert (await anext(watch)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    with pytest.raises(TooManyCalls):
        await anext(greedy[0])
    await api._health.turn(State.READY)
    for watch in (quiet, *greedy[1:]):
        assert (await anext(watch)).status == health_pb2.HealthCheckResponse.SERVING
        await watch.aclose()
    assert api._watches == {}


async def test_health_lists_every_service(tmp_path: Path) -> None:
    async with running(tmp_path) as server, Raw(server) as raw:
        listed = health_pb2.HealthListResponse.FromString(
            await raw.ask("/grpc.health.v1.Health/List", b"")
        )
        code, ours, _ = await raw.refused("/grpc.health.v1.Health/Check", length_delimited(1, b"x"))
    assert {"", "adapterd.v1.Predictor", "adapterd.v1.Jobs"} <= set(listed.statuses)
    assert {each.status for each in listed.statuses.values()} == {
        health_pb2.HealthCheckResponse.SERVING
    }
    assert (code, ours) == (grpc.StatusCode.NOT_FOUND, "unknown_service")


# ------------------------------------------------------------------ reflection


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_every_service_it_names_itself_included(
    tmp_path: Path, version: str
) -> None:
    async with running(tmp_path) as server, Raw(server) as raw:
        call = raw.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(timeout=20)
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        names = {each.name for each in (await call.read()).list_services_response.service}
        described = set()
        for name in names:
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
            for raw_file in (await call.read()).file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(raw_file)
                described |= {f"{file.package}.{each.name}" for each in file.service}
        await call.done_writing()
    assert "grpc.reflection.v1.ServerReflection" in names
    assert names <= described


# ------------------------------------------------------------------ details


def details_of(error: Exception) -> dict[str, Any]:
    packed = Status.FromString(dict(trailers_of(fault_of(error), "r1"))["grpc-status-details-bin"])
    found = {}
    for detail in packed.details:
        for kind in (BadRequest, ErrorInfo, QuotaFailure, RetryInfo):
            if detail.Is(kind.DESCRIPTOR):
                found[kind.__name__] = kind.FromString(detail.value)
    return found


def test_reasons_are_upper_snake_case_and_parameters_are_field_violations() -> None:
    found = details_of(BadParameter("top_k is -1.", param="top_k"))
    assert found["ErrorInfo"].reason == "BAD_REQUEST"
    violation = found["BadRequest"].field_violations[0]
    assert (violation.field, violation.description) == ("top_k", "top_k is -1.")
    assert "QuotaFailure" not in found


def test_a_limit_that_was_reached_is_a_quota_failure() -> None:
    found = details_of(Overloaded(retry_after_s=2.0))
    assert found["QuotaFailure"].violations[0].subject == "OVERLOADED"
    assert found["RetryInfo"].retry_delay.seconds == 2
    assert "BadRequest" not in found


@pytest.mark.parametrize("letter", ["z", "\u20ac", "\U0001f600", "\ud800", "\x00"])
def test_however_long_a_sentence_is_its_trailers_have_room(letter: str) -> None:
    fault = fault_of(BadParameter(letter * 100_000, param=letter * 100_000))
    trailers = trailers_of(fault, "r1")
    escaped = "".join(c if " " <= c <= "~" else "%XX" * len(c.encode()) for c in message_of(fault))
    binary = sum(len(value) * 4 // 3 for _, value in trailers if isinstance(value, bytes))
    assert len(escaped) + binary < 7000
    assert message_of(fault).endswith("\u2026")
