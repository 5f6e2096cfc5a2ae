"""Where nothing answers, or something else does: one sentence with the way out, over both
transports, and the documented exit status.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapterd import AsyncClient, Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.demo.spawned import free_ports
from adapterd.errors import AdapterdError, BadSetting, Unavailable
from adapterd.profiles import Profile, ProfileFile
from adapterd.settings import VARIABLES, profile_path
from tests.client.commands import Run, command_runner
from tests.client.conftest import RunningServer

Call = Callable[[Client], object]
both_transports = pytest.mark.parametrize(
    "call", [lambda client: client.info(), lambda client: list(client.tasks())],
    ids=["http", "grpc"],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_runner(monkeypatch, capsys)


@pytest.fixture
def nobody() -> str:
    """An address of this machine at which nothing listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """The address of a program that answers every connection so, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(2)
                peer.recv(65536)
                peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def refuse(client: Client, call: Call, kind: type[AdapterdError]) -> str:
    with client, pytest.raises(kind) as refused:
        call(client)
    return str(refused.value)


@both_transports
def test_no_server_is_told_with_what_starts_one(call: Call, nobody: str) -> None:
    client = Client(f"http://{nobody}", grpc_target=nobody)
    assert refuse(client, call, Unavailable).endswith(
        f"{nobody}. Start one with `adapterd serve`, or pass --url / set ADAPTERD_URL."
    )


async def test_asyncio_says_the_same(nobody: str) -> None:
    for client in (AsyncClient(f"http://{nobody}"), AsyncClient(grpc_target=nobody)):
        async with client:
            with pytest.raises(Unavailable, match=f"No server answers at .*{nobody}. Start one"):
                await client.task("x")


def test_a_host_without_an_address_is_named() -> None:
    client = Client("http://no-such-host.invalid:8000")
    sentence = refuse(client, lambda client: client.info(), Unavailable)
    assert "The host name 'no-such-host.invalid' of http://no-such-host" in sentence


def test_a_grpc_port_that_clients_cannot_reach_is_told_apart(
    server: RunningServer, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapterd.client.connection.read_target", lambda url, info: nobody)
    client = Client(f"http://127.0.0.1:{server.ports.http}")
    sentence = refuse(client, lambda client: list(client.tasks()), Unavailable)
    assert f"names {nobody} as its gRPC address, and nothing answers there" in sentence
    assert "set grpc_address on the server" in sentence


@both_transports
def test_the_other_port_of_the_server_is_told(call: Call, server: RunningServer) -> None:
    client = Client(
        f"http://127.0.0.1:{server.ports.grpc}", grpc_target=f"127.0.0.1:{server.ports.http}"
    )
    sentence = refuse(client, call, BadSetting)
    assert "port, and the" in sentence
    assert "--url and ADAPTERD_URL take the HTTP address" in sentence


@both_transports
def test_another_protocol_is_shown(call: Call) -> None:
    with saying(b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        sentence = refuse(Client(f"http://{address}", grpc_target=address), call, BadSetting)
    assert "A program that is not adapterd answers at" in sentence
    assert "SSH-2.0" in sentence


def test_a_program_that_says_nothing_is_told(nobody: str) -> None:
    with saying(b"") as address:
        sentence = refuse(Client(f"http://{address}"), lambda client: client.info(), Unavailable)
    assert "closed the connection without an answer" in sentence


def test_a_proxy_in_between_is_not_second_guessed(
    nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{nobody}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = Client("http://models.invalid:8000")
    sentence = refuse(client, lambda client: client.info(), Unavailable)
    assert sentence.startswith("http://models.invalid:8000/v1/info cannot be reached")


# ---------------------------------------------------------------- the command


def test_a_profile_whose_server_is_gone_is_named(run: Run, nobody: str) -> None:
    ProfileFile(path=profile_path()).put("prod", Profile(url=f"http://{nobody}")).write()
    ran = run("tasks")
    assert ran.code == ExitCode.UNAVAILABLE
    assert ran.err.startswith(
        f"adapterd: No server answers at http://{nobody}, the address of the profile 'prod'. Start"
    )
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("url", ["localhost:8000", "models", "http://", "ftp://x", ""])
def test_a_url_that_is_none_is_wrong_usage(run: Run, url: str) -> None:
    ran = run("tasks", "--url", url or " ")
    assert ran.code == ExitCode.USAGE
    assert "is not the URL of a server" in ran.err
    assert ran.err.count("\n") == 1


def test_each_refusal_is_one_line_with_its_exit_status(
    run: Run, server: RunningServer, nobody: str
) -> None:
    for url, code in (
        (f"http://{nobody}", ExitCode.UNAVAILABLE),
        (f"https://127.0.0.1:{server.ports.http}", ExitCode.USAGE),
        (f"http://127.0.0.1:{server.ports.grpc}", ExitCode.USAGE),
    ):
        ran = run("tasks", "--url", url)
        assert ran.code == code
        assert ran.err.startswith("adapterd: ")
        assert ran.err.count("\n") == 1


def test_a_warning_of_the_client_is_a_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_API_KEY", "adk_1")
    ran = run("tasks", "--url", "http://no-such-host.invalid:8000")
    assert ran.code == ExitCode.UNAVAILABLE
    assert ran.err.splitlines()[0].startswith("adapterd: warning: The API key is sent to http://no")
