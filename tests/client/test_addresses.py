"""One address leads to a whole server: the client learns the gRPC address from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterd import AsyncClient, Client
from adapterd.client.channel import read_target
from adapterd.errors import BadSetting, ServerFailed
from server.config import Settings
from server.errors import BadSettings
from tests.client.conftest import RunningServer
from tests.server.build import http_client, running

NOBODY = "127.0.0.1:9"


@pytest.fixture
def url(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's, while the environment names nobody."""
    monkeypatch.setenv("ADAPTERD_URL", f"http://{NOBODY}")
    monkeypatch.setenv("ADAPTERD_GRPC", NOBODY)
    return f"http://127.0.0.1:{server.ports.http}"


def test_a_url_alone_reaches_both_transports(url: str) -> None:
    with Client(url) as client:
        assert list(client.tasks()) == []
        assert client.info()["version"]


async def test_a_url_alone_reaches_both_transports_in_asyncio(url: str) -> None:
    async with AsyncClient(url) as client:
        assert [task async for task in client.tasks()] == []
        assert (await client.info())["version"]


def test_the_address_is_asked_once_and_when_a_call_needs_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "adapterd.client.connection.read_target",
        lambda url, info: asked.append(url) or read_target(url, info),
    )
    with Client(url) as client:
        client.info()
        assert asked == []
        list(client.tasks())
        list(client.tasks())
    assert asked == [url]


def test_a_grpc_address_alone_serves_calls_without_http(
    server: RunningServer, url: str, rows: Path
) -> None:
    with Client(grpc_target=f"127.0.0.1:{server.ports.grpc}") as client:
        assert list(client.tasks()) == []
        with pytest.raises(BadSetting, match="pass the URL of the same server"):
            client.upload(rows)


async def test_a_grpc_address_alone_uploads_nothing_in_asyncio_either(
    server: RunningServer, url: str, rows: Path
) -> None:
    async with AsyncClient(grpc_target=f"127.0.0.1:{server.ports.grpc}") as client:
        with pytest.raises(BadSetting, match="pass the URL of the same server"):
            await client.upload(rows)


@pytest.mark.parametrize(
    ("url", "grpc", "target"),
    [
        ("http://models.example:80/prefix", {"port": 8001}, "models.example:8001"),
        ("http://[::1]:8000", {"port": 8001, "address": None}, "[::1]:8001"),
        ("https://a.example", {"port": 8001, "address": "b.example:443"}, "b.example:443"),
    ],
)
def test_grpc_is_at_the_host_of_the_url_or_where_the_server_says(
    url: str, grpc: dict[str, object], target: str
) -> None:
    assert read_target(url, {"grpc": grpc}) == target


def test_a_server_that_names_no_grpc_address_is_told_by_hand() -> None:
    with pytest.raises(ServerFailed, match="pass it as grpc_target, or set ADAPTERD_GRPC"):
        read_target("http://old.example:8000", {"version": "0.0.1"})


async def test_the_server_names_its_port_and_its_address(tmp_path: Path) -> None:
    async with running(tmp_path, grpc_address="models.example:443") as server:
        async with http_client(server) as http:
            grpc = (await http.get("/v1/info")).json()["grpc"]
    assert grpc == {"port": server.ports.grpc, "address": "models.example:443", "tls": False}


@pytest.mark.parametrize("address", ["https://a.example:443", "a.example", ":443", "a b:1"])
def test_an_address_that_is_not_host_and_port_stops_the_start(address: str) -> None:
    from server.settings_sources import load_settings

    assert Settings.model_fields["grpc_address"].default is None
    with pytest.raises(BadSettings, match="grpc_address"):
        load_settings({"grpc_address": address})
