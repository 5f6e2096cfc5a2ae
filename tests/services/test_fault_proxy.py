"""Each fault of the proxy is the one that its name says, and ends with `restore`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import obstore
import psycopg
import pytest

from tests.services.fault_proxy import FaultProxy, Toward
from tests.services.s3 import S3Bucket


class Echo:
    """A server that sends back what it receives."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while received := connection.recv(65536):
                        connection.sendall(received)
                except ConnectionError:
                    continue


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    echo = Echo()
    with FaultProxy("127.0.0.1", echo.port) as proxy:
        yield proxy
    echo.close()


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def read(connection: socket.socket, num_bytes: int) -> bytes:
    received = b""
    while len(received) < num_bytes and (part := connection.recv(num_bytes - len(received))):
        received += part
    return received


def test_bytes_pass_and_the_end_passes_too(proxy: FaultProxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"x" * 200_000)
        connection.shutdown(socket.SHUT_WR)
        assert read(connection, 200_001) == b"x" * 200_000


def test_a_proxy_that_refuses_resets_open_connections_and_keeps_its_port(
    proxy: FaultProxy,
) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"one")
        assert read(connection, 3) == b"one"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.restore()
    with connect(proxy) as connection:
        connection.sendall(b"two")
        assert read(connection, 3) == b"two"


def test_a_proxy_that_hangs_accepts_and_passes_nothing_before_it_is_restored(
    proxy: FaultProxy,
) -> None:
    proxy.hang()
    with connect(proxy) as connection:
        connection.sendall(b"one")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.restore()
        connection.settimeout(5)
        assert read(connection, 3) == b"one"


def test_a_delay_holds_each_chunk_up(proxy: FaultProxy) -> None:
    proxy.delay(0.3)
    with connect(proxy) as connection:
        connection.sendall(b"one")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(5)
        assert read(connection, 3) == b"one"


@pytest.mark.parametrize("toward", Toward)
def test_a_connection_is_cut_after_the_bytes_and_the_next_one_is_not(
    proxy: FaultProxy, toward: Toward
) -> None:
    proxy.cut_after(1000, toward)
    with connect(proxy) as connection:
        connection.sendall(b"x" * 1000)
        assert len(read(connection, 1000)) == 1000
        connection.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(proxy) as connection:
        connection.sendall(b"x" * 2000)
        assert len(read(connection, 2000)) == 2000


@pytest.mark.parametrize(
    ("status", "error"), [(503, "SlowDown"), (403, "AccessDenied"), (500, "InternalError")]
)
def test_requests_are_answered_by_the_proxy_and_those_after_them_by_the_server(
    s3_bucket: S3Bucket, s3_proxy: FaultProxy, status: int, error: str
) -> None:
    store = s3_bucket.behind(s3_proxy.url).open_store()
    obstore.put(store, "key", b"first")
    s3_proxy.answer(status, times=2)
    for content in (b"x", b"x" * 300_000):
        with pytest.raises(Exception, match=error):
            obstore.put(store, "key", content)
    assert bytes(obstore.get(store, "key").bytes()) == b"first"
    assert s3_proxy.num_requests == 2


def test_an_upload_that_is_cut_leaves_no_object(s3_bucket: S3Bucket, s3_proxy: FaultProxy) -> None:
    store = s3_bucket.behind(s3_proxy.url).open_store()
    s3_proxy.cut_after(100_000, Toward.SERVER)
    with pytest.raises(obstore.exceptions.GenericError):
        obstore.put(store, "key", b"x" * 300_000)
    assert list(obstore.list(store)) == []


def test_a_database_s_connection_is_cut_in_the_middle_of_an_answer(
    postgres_url: str, postgres_proxy: FaultProxy
) -> None:
    url = postgres_proxy.redirect(postgres_url).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        postgres_proxy.cut_after(100_000, Toward.CLIENT)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
