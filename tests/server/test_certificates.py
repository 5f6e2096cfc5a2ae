"""The server's certificate: which files stop the start, how renewals are taken up, and that peers
who never finish a handshake keep nobody out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse

from server.certificates import RELOAD_S, CertificateFiles, Certificates
from server.errors import BadCertificate, BadSettings
from server.http_api.connections.listener import Listener, listen
from server.limits import ConnectionLimits
from server.metrics.metrics import Metrics
from server.settings_sources import load_settings
from tests.architecture.sources import ROOT
from tests.client.authority import Authority, Pair, make_authority
from tests.server.build import running, until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


def files_of(pair: Pair, client_ca: Path | None = None) -> CertificateFiles:
    return CertificateFiles(cert=pair.cert, key=pair.key, client_ca=client_ca)


# ---------------------------------------------------------------- the start


@pytest.mark.survival("H9")
def test_a_certificate_alone_or_a_key_alone_stops_the_start(tmp_path: Path) -> None:
    for settings, words in (
        ({"tls_cert_file": "a.pem"}, r"tls_cert_file is a\.pem and tls_key_file is None; TLS"),
        ({"tls_key_file": "a.key"}, r"tls_key_file is a\.key; TLS needs both"),
        ({"tls_client_ca_file": "ca.pem"}, "tls_client_ca_file is set without"),
    ):
        with pytest.raises(BadSettings, match=words):
            load_settings(settings)


@pytest.mark.survival("H9")
def test_each_file_that_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.issue("localhost"), authority.issue("localhost", file="other")
    empty = tmp_path / "empty.pem"
    empty.touch()
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
    gone = tmp_path / "gone"
    for files, words in (
        (CertificateFiles(cert=gone, key=good.key), f"tls_cert_file {gone} cannot be read: No"),
        (CertificateFiles(cert=good.cert, key=gone), f"tls_key_file {gone} cannot be read: No"),
        (files_of(good, gone), f"tls_client_ca_file {gone} cannot be read"),
        (CertificateFiles(cert=empty, key=good.key), f"{empty} contains no certificate in PEM"),
        (CertificateFiles(cert=good.cert, key=empty), f"{empty} contains no private key in PEM"),
        (CertificateFiles(cert=broken, key=good.key), f"tls_cert_file {broken} and .* cannot be"),
        (files_of(good, broken), f"tls_client_ca_file {broken} cannot be used"),
        (CertificateFiles(cert=good.cert, key=other.key), "is not the key of the certificate in"),
    ):
        with pytest.raises(BadCertificate, match=words):
            Certificates(files)


def test_a_file_that_goes_away_while_it_is_read_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nothing(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", find_nothing)
    with pytest.raises(BadCertificate, match=r"cannot be used: .*No such file"):
        Certificates(files_of(authority.issue("localhost")))


def test_an_encrypted_key_is_refused_without_asking_for_its_passphrase(
    authority: Authority, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    pair = authority.issue("localhost")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    (tmp_path / "encrypted.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(BadCertificate, match="is encrypted with a passphrase"):
        Certificates(CertificateFiles(cert=pair.cert, key=tmp_path / "encrypted.key"))


async def test_a_bad_certificate_stops_the_start_and_frees_the_ports(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("localhost")
    with pytest.raises(BadCertificate):
        async with running(tmp_path, tls_cert_file=pair.cert, tls_key_file=pair.cert):
            pass


async def test_the_metrics_port_stays_without_tls(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("localhost")
    async with running(tmp_path, tls_cert_file=pair.cert, tls_key_file=pair.key) as server:
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"http://127.0.0.1:{server.ports.metrics}"
            assert (await http.get(f"{url}/metrics")).status_code == 200
            assert (await http.get(f"{url}/health/live")).json() == {"status": "live"}
            assert (await http.get(f"{url}/v1/info")).status_code == 404


# ---------------------------------------------------------------- renewals


def renew(authority: Authority, pair: Pair, **dates: float) -> None:
    """As a tool for certificates does: other files take the place of the old ones."""
    new = authority.issue("localhost", file="renewed", **dates)
    new.key.replace(pair.key)
    new.cert.replace(pair.cert)


def served(certificates: Certificates) -> ssl.SSLContext:
    return certificates.http_context()


def test_renewed_files_serve_the_next_connections(authority: Authority) -> None:
    pair, now = authority.issue("localhost"), [0.0]
    certificates = Certificates(files_of(pair), clock=lambda: now[0])
    before = served(certificates)
    renew(authority, pair)
    assert served(certificates) is before  # it has not looked yet
    now[0] += RELOAD_S
    after = served(certificates)
    assert after is not before
    now[0] += RELOAD_S
    assert served(certificates) is after


def test_a_renewal_that_cannot_be_used_changes_nothing_and_is_logged_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair, now = authority.issue("localhost"), [0.0]
    certificates = Certificates(files_of(pair), clock=lambda: now[0])
    before = served(certificates)
    pair.key.unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            now[0] += RELOAD_S
            assert served(certificates) is before
    assert [record.action for record in caplog.records] == ["certificate.refused"]
    renew(authority, pair)
    now[0] += RELOAD_S
    assert served(certificates) is not before


# ---------------------------------------------------------------- handshakes


@asynccontextmanager
async def encrypted(
    authority: Authority, **changes: Any
) -> AsyncIterator[tuple[Listener, tuple[str, int], httpx.AsyncClient]]:
    limits = {"total": 8, "per_address": 8, "head_s": 30.0, "idle_s": 30.0, **changes}
    certificates = Certificates(files_of(authority.issue("localhost", "127.0.0.1")))
    sock = listen("127.0.0.1", 0)
    address = sock.getsockname()
    listener = await Listener.serving(
        PlainTextResponse("here"),
        sock,
        limits=ConnectionLimits(**limits),
        observer=Metrics(CollectorRegistry()),
        drain_s=1.0,
        context=certificates.http_context,
    )
    trusted = ssl.create_default_context(cafile=authority.file)
    async with httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{address[1]}", verify=trusted, trust_env=False
    ) as http:
        try:
            yield listener, address, http
        finally:
            await listener.finish(at_once=True)


@pytest.mark.survival("C11")
async def test_peers_that_never_shake_hands_keep_nobody_out(authority: Authority) -> None:
    async with encrypted(authority) as (_, address, http):
        peers = [await asyncio.open_connection(*address) for _ in range(20)]
        assert (await http.get("/")).text == "here"
        for _, writer in peers:
            writer.close()


@pytest.mark.survival("C11")
async def test_a_handshake_that_takes_too_long_is_closed(authority: Authority) -> None:
    async with encrypted(authority, head_s=0.2) as (_, address, http):
        reader, writer = await asyncio.open_connection(*address)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert (await http.get("/")).text == "here"


async def test_a_failed_handshake_leaves_neither_a_connection_nor_a_line(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with encrypted(authority) as (listener, address, http):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1" not in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert (await http.get("/")).text == "here"
        await until(lambda: len(listener.table.connections) == 1)
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_a_connection_that_began_keeps_its_socket_where_its_handshake_is_cancelled(
    authority: Authority,
) -> None:
    async with encrypted(authority) as (listener, *_):
        for is_connected in (False, True):
            protocol, (ours, theirs) = listener._protocol(), socket.socketpair()
            protocol.is_connected = is_connected
            task = asyncio.get_running_loop().create_future()
            task.cancel()
            listener._acceptor._on_connected(ours, protocol, task)  # type: ignore[arg-type]
            assert (ours.fileno() >= 0) is is_connected
            theirs.close()
            ours.close()


async def test_a_port_closes_although_a_handshake_is_in_progress(authority: Authority) -> None:
    async with encrypted(authority) as (listener, address, _):
        reader, writer = await asyncio.open_connection(*address)
        await until(lambda: listener._acceptor._connecting)
        await asyncio.wait_for(listener.stop_accepting(), 10)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


def test_failed_handshakes_over_grpc_write_no_line(authority: Authority, tmp_path: Path) -> None:
    """A server with settings of its environment, and a client that does not trust it."""
    program = """
from server.settings_sources import quiet_grpc
quiet_grpc()
import grpc, sys
pair = [open(name, "rb").read() for name in sys.argv[1:3]]
server = grpc.server(__import__("concurrent.futures").futures.ThreadPoolExecutor(1))
port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
server.start()
channel = grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials())
try:
    grpc.channel_ready_future(channel).result(1)
except grpc.FutureTimeoutError:
    print("refused")
"""
    pair = authority.issue("localhost")
    environment = {**os.environ, "GRPC_VERBOSITY": ""}
    del environment["GRPC_VERBOSITY"]
    ran = subprocess.run(
        [sys.executable, "-c", program, pair.key, pair.cert],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("refused\n", "")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_commands_of_the_operations_page_make_a_certificate_for_a_trial(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (commands,) = [block for block in page.split("```sh\n")[1:] if block.startswith("openssl")]
    subprocess.run(
        ["sh", "-ec", commands.partition("```")[0]], cwd=tmp_path, check=True, capture_output=True
    )
    server = Certificates(
        CertificateFiles(
            cert=tmp_path / "server.pem", key=tmp_path / "server.key", client_ca=tmp_path / "ca.pem"
        )
    )
    trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    trusted.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    for host in ("localhost", "127.0.0.1"):
        shake_hands(trusted, server.http_context(), host)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """In memory. Raises SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=host),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert ends[0].version() is not None
