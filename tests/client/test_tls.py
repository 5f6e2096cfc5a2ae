"""A server with a certificate, called over both transports: who trusts whom, and what is said where
somebody does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapterd import AsyncClient, Client
from adapterd.cli.exit_codes import ExitCode, exit_code
from adapterd.errors import AdapterdError, BadSetting, Unauthenticated, Untrusted
from adapterd.settings import VARIABLES
from server.config import Settings
from tests.client.authority import Authority, Pair, make_authority
from tests.client.commands import command_runner
from tests.client.conftest import RunningServer

Start = Callable[..., RunningServer]
Call = Callable[[Client], object]


def call_http(client: Client) -> object:
    return client.info()


def call_grpc(client: Client) -> object:
    return list(client.tasks())


both_transports = pytest.mark.parametrize("call", [call_http, call_grpc])


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES.values(), "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return make_authority(folder)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server with a certificate."""
    servers: list[RunningServer] = []

    def run(pair: Pair, **changes: Any) -> RunningServer:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("data"), http_port=0, grpc_port=0, metrics_port=0,
            train=False, tls_cert_file=pair.cert, tls_key_file=pair.key, **changes,
        )  # fmt: skip
        servers.append(RunningServer(settings))
        return servers[-1]

    yield run
    for each in servers:
        each.stop()


@pytest.fixture(scope="module")
def secure(start: Start, authority: Authority) -> RunningServer:
    return start(authority.issue("localhost"))


@pytest.fixture(scope="module")
def mutual(start: Start, authority: Authority) -> RunningServer:
    pair = authority.issue("localhost", file="mutual")
    return start(pair, tls_client_ca_file=authority.file)


def client_of(server: RunningServer, host: str = "localhost", **options: Any) -> Client:
    """Given both addresses, so that each transport meets the fault by itself."""
    return Client(
        f"https://{host}:{server.ports.http}",
        grpc_target=f"{host}:{server.ports.grpc}",
        **options,
    )


def refuse(client: Client, call: Call, kind: type[AdapterdError]) -> str:
    with client, pytest.raises(kind) as refused:
        call(client)
    return str(refused.value)


# ---------------------------------------------------------------- good


def test_an_https_url_and_the_authority_reach_both_transports(
    secure: RunningServer, authority: Authority
) -> None:
    url = f"https://localhost:{secure.ports.http}"
    with Client(url, ca_file=authority.file) as client:
        assert client.info()["grpc"] == {
            "port": secure.ports.grpc, "address": None, "tls": True,
        }  # fmt: skip
        assert list(client.tasks()) == []


async def test_asyncio_reaches_both_transports(secure: RunningServer, authority: Authority) -> None:
    url = f"https://localhost:{secure.ports.http}"
    async with AsyncClient(url, ca_file=authority.file) as client:
        assert [task async for task in client.tasks()] == []


def test_the_authority_may_stand_in_openssl_s_own_variable(
    secure: RunningServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with client_of(secure) as client:
        assert call_http(client)
        assert call_grpc(client) == []


@both_transports
def test_a_client_with_a_certificate_of_the_authority_is_let_in(
    mutual: RunningServer, authority: Authority, call: Call
) -> None:
    mine = authority.issue("me", file="me")
    with client_of(
        mutual, ca_file=authority.file, cert_file=mine.cert, key_file=mine.key
    ) as client:
        call(client)


# ---------------------------------------------------------------- the server is not trusted


@both_transports
def test_an_unknown_authority_is_named_with_the_file_that_lacks_it(
    secure: RunningServer, folder: Path, call: Call
) -> None:
    other = make_authority(folder, f"other-{call.__name__}")
    sentence = refuse(client_of(secure, ca_file=other.file), call, Untrusted)
    assert f"none of the authorities in {other.file} has signed it" in sentence
    assert "ADAPTERD_CA_FILE" in sentence


@both_transports
def test_a_private_authority_is_no_public_one(secure: RunningServer, call: Call) -> None:
    sentence = refuse(client_of(secure), call, Untrusted)
    assert "none of the public authorities has signed it" in sentence


@both_transports
def test_a_certificate_for_another_host_is_told_with_both_names(
    secure: RunningServer, authority: Authority, call: Call
) -> None:
    client = client_of(secure, "127.0.0.1", ca_file=authority.file)
    sentence = refuse(client, call, Untrusted)
    assert "is made out to localhost, and not to 127.0.0.1; call the server by" in sentence


@both_transports
@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((-20, -10), "expired on 20"),
        ((10, 20), "is not valid yet (it will be on 20"),
    ],
)
def test_a_certificate_out_of_its_dates_is_told_with_the_clock_s_own(
    start: Start, authority: Authority, call: Call, days: tuple[int, int], words: str
) -> None:
    pair = authority.issue("localhost", file="dated", begin_days=days[0], end_days=days[1])
    sentence = refuse(client_of(start(pair), ca_file=authority.file), call, Untrusted)
    assert words in sentence
    assert "the clock of this machine says 20" in sentence


# ---------------------------------------------------------------- the client is not trusted


@both_transports
def test_a_client_without_a_certificate_is_told_how_to_pass_one(
    mutual: RunningServer, authority: Authority, call: Call
) -> None:
    client = client_of(mutual, ca_file=authority.file)
    sentence = refuse(client, call, Unauthenticated)
    assert "a client certificate; pass cert_file and key_file" in sentence


@both_transports
def test_a_client_with_a_foreign_certificate_is_told_which(
    mutual: RunningServer, authority: Authority, folder: Path, call: Call
) -> None:
    mine = make_authority(folder, f"foreign-{call.__name__}").issue("me")
    client = client_of(mutual, ca_file=authority.file, cert_file=mine.cert, key_file=mine.key)
    sentence = refuse(client, call, Unauthenticated)
    assert f"does not accept the client certificate {mine.cert}" in sentence
    assert "tls_client_ca_file" in sentence


@pytest.mark.parametrize("kind", [Untrusted, Unauthenticated])
def test_who_is_not_trusted_exits_6(kind: type[AdapterdError]) -> None:
    assert exit_code(kind()) == 6


# ---------------------------------------------------------------- wrong files of the client


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    mine, other = authority.issue("a", file="a"), authority.issue("b", file="b")
    (tmp_path / "empty").touch()
    for options, words in (
        ({"ca_file": tmp_path / "gone"}, f"ca_file {tmp_path / 'gone'} cannot be read"),
        ({"ca_file": tmp_path / "empty"}, "contains no certificate in PEM format"),
        ({"cert_file": tmp_path / "x", "key_file": mine.key}, "cert_file .* cannot be read"),
        ({"cert_file": mine.cert, "key_file": other.key}, "do not belong together"),
    ):
        with pytest.raises(BadSetting, match=words):
            Client("https://localhost:1", **options)


# ---------------------------------------------------------------- http for https


@both_transports
def test_an_http_url_of_a_server_with_tls_is_told_to_be_https(
    secure: RunningServer, call: Call
) -> None:
    url = f"http://localhost:{secure.ports.http}"
    client = Client(url, grpc_target=f"localhost:{secure.ports.grpc}")
    sentence = refuse(client, call, BadSetting)
    assert f"speaks TLS; pass https://localhost:{secure.ports.http}." in sentence


@both_transports
def test_an_https_url_of_a_server_without_tls_is_told_to_be_http(
    server: RunningServer, call: Call
) -> None:
    sentence = refuse(client_of(server), call, BadSetting)
    assert f"does not speak TLS; pass http://localhost:{server.ports.http}, or give" in sentence


@both_transports
def test_the_other_port_of_a_server_with_tls_is_told(
    secure: RunningServer, authority: Authority, call: Call
) -> None:
    client = Client(
        f"https://localhost:{secure.ports.grpc}",
        grpc_target=f"localhost:{secure.ports.http}",
        ca_file=authority.file,
    )
    sentence = refuse(client, call, BadSetting)
    assert "--url and ADAPTERD_URL take the HTTP address" in sentence


# ---------------------------------------------------------------- keys in clear


def test_a_key_over_http_to_another_machine_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="sent to http://models.example without encryption"):
        Client("http://models.example", api_key="adk_1").close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://models.example"])
def test_a_key_on_this_machine_or_encrypted_is_not(url: str) -> None:
    Client(url, api_key="adk_1").close()


async def test_the_warning_names_the_line_that_made_the_client() -> None:
    for make in (Client, AsyncClient):
        with pytest.warns(UserWarning, match="without encryption") as noted:
            make("http://models.example", api_key="adk_1")
        assert noted[0].filename == __file__


def test_a_login_keeps_the_files_wherever_the_next_command_is_run(
    mutual: RunningServer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = authority.issue("me", file="me")
    run = command_runner(monkeypatch, capsys)
    monkeypatch.chdir(authority.folder)
    files = ("--ca-file", authority.file.name, "--cert-file", mine.cert.name)
    ran = run("login", "--url", f"https://localhost:{mutual.ports.http}", *files)
    assert ran.code == ExitCode.USAGE  # a certificate without its key
    files += ("--key-file", mine.key.name)
    ran = run("login", "--url", f"https://localhost:{mutual.ports.http}", *files)
    assert ran.code == ExitCode.OK, ran.err
    monkeypatch.chdir(tmp_path)
    assert run("tasks", "--json").json() == []
