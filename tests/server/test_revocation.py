"""A key that is revoked while a stream is open: the stream ends, and says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import jobs_pb2, predictor_pb2
from engine import port
from engine.testing.fake_engine import FakeEngine
from server.auth.authenticator import Authenticator
from server.auth.key_file import KeyRing, create_key, list_keys, revoke_key
from server.auth.revocation import while_confirmed
from server.auth.signed_link import LinkSigner
from server.errors import Unauthenticated
from tests.server.build import grpc_client, http_client, publish, registry_of, running
from tests.server.test_jobs import rows, upload

pytestmark = pytest.mark.survival("B6")

TEXT = "a longer text"


class Silent(FakeEngine):
    """Begins to write, and never goes on."""

    def submit(self, step: port.Step) -> Future[port.Result]:
        num_written = sum(isinstance(each, port.Generate) for each in self.steps)
        if isinstance(step, port.Generate) and num_written > 3:
            return Future()
        return super().submit(step)


class Open:
    """A server with a job that waits, and a key that is revoked when told."""

    def __init__(self, directory: Path) -> None:
        self.keys_file = directory / "keys.jsonl"
        self.admin = create_key(self.keys_file, "acme", "admin")[1]
        self.key, self.token = create_key(self.keys_file, "acme", "use")

    def revoke(self) -> None:
        revoke_key(self.keys_file, self.key.id)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/jobs/{job}/events?stream=true", None),
        ("GET", "/v1/fine_tuning/jobs/{job}/events?stream=true", None),
        (
            "POST",
            "/v1/chat/completions",
            {
                "model": "fake",
                "messages": [{"role": "user", "content": "a longer text"}],
                "stream": True,
            },
        ),
        ("POST", "/v1/completions", {"model": "fake", "stream": True, "prompt": TEXT}),
    ],
)
async def test_an_event_stream_of_a_revoked_key_ends_and_says_so(
    tmp_path: Path, method: str, path: str, body: Any
) -> None:
    opened = Open(tmp_path)
    async with (
        running(tmp_path / "data", Silent(), keys_file=opened.keys_file) as server,
        http_client(server, opened.admin) as admin,
        http_client(server, opened.token) as http,
    ):
        admin.timeout = 60.0  # a file is checked in a child, which takes seconds to begin
        file = await upload(admin, rows())
        made = await admin.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})
        path = path.format(job=made.json()["id"])
        async with asyncio.timeout(20), http.stream(method, path, json=body) as answer:
            assert answer.status_code == 200
            opened.revoke()
            data = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
        assert "[DONE]" not in data[-1]
        error = json.loads(data[-1].removeprefix("data: "))["error"]
        assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")
        # whoever else watches goes on
        async with admin.stream("GET", f"/v1/jobs/{made.json()['id']}/events?stream=true") as other:
            assert await anext(other.aiter_lines())


async def test_a_grpc_stream_of_a_revoked_key_ends_unauthenticated(tmp_path: Path) -> None:
    opened = Open(tmp_path)
    async with (
        running(tmp_path / "data", Silent(), keys_file=opened.keys_file) as server,
        http_client(server, opened.admin) as admin,
        grpc_client(server) as rpc,
    ):
        head = {"kind": "generate", "format": "plain", "max_tokens": 5}
        publish(registry_of(server), "poet", tenant="acme", head=head)
        admin.timeout = 60.0  # a file is checked in a child, which takes seconds to begin
        file = await upload(admin, rows())
        made = await admin.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})
        job_id, metadata = made.json()["id"], (("authorization", f"Bearer {opened.token}"),)
        text = predictor_pb2.PredictRequest(
            task_id="poet", inputs=[predictor_pb2.Input(text="a longer text")]
        )
        streams = [
            rpc.jobs.Watch(jobs_pb2.WatchRequest(id=job_id), metadata=metadata),
            rpc.jobs.WatchJob(jobs_pb2.GetJobRequest(id=job_id), metadata=metadata),
            rpc.predictor.PredictStream(text, metadata=metadata),
        ]
        assert await streams[0].read()  # under way
        opened.revoke()
        async with asyncio.timeout(20):
            codes = [await each.code() for each in await drained(*streams)]
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 3


async def drained(*streams: Any) -> tuple[Any, ...]:
    async def drain(stream: Any) -> None:
        with suppress(grpc.aio.AioRpcError):
            while await stream.read() is not grpc.aio.EOF:
                pass

    await asyncio.gather(*(drain(stream) for stream in streams))
    return streams


async def idle() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(60)
    yield 2


async def test_a_stream_that_says_nothing_is_looked_after_too() -> None:
    asked = 0

    def confirm() -> None:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise Unauthenticated

    items = while_confirmed(idle(), confirm, every_s=0.01)
    assert await anext(items) == 1
    with pytest.raises(Unauthenticated):
        await anext(items)
    assert asked == 4


async def test_a_stream_whose_reader_leaves_ends_what_it_waits_for() -> None:
    ended = asyncio.Event()

    async def waiting() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def read() -> None:
        async for _ in while_confirmed(waiting(), lambda: None):
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(5):
        await ended.wait()


def test_a_key_that_is_no_longer_what_it_was_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    now = [0.0]
    key, token = create_key(path, "acme", "admin")
    create_key(path, "acme", "admin")
    links = LinkSigner(lambda: b"a secret of the test")
    authenticator = Authenticator(KeyRing(path, clock=lambda: now[0]), links)
    caller = authenticator.caller(f"Bearer {token}", "1")
    authenticator.confirm(caller)
    path.write_text(path.read_text().replace('"admin"', '"read"'))
    assert {each.role for each in list_keys(path)} == {"read"}
    now[0] = 2.0
    with pytest.raises(Unauthenticated):
        authenticator.confirm(caller)
    revoke_key(path, key.id)
    now[0] = 4.0
    with pytest.raises(Unauthenticated, match="revoked"):
        authenticator.confirm(caller)


def test_without_keys_everybody_goes_on(tmp_path: Path) -> None:
    authenticator = Authenticator(None, LinkSigner(lambda: b"a secret of the test"))
    authenticator.confirm(authenticator.caller(None, "1"))
