"""A bucket over HTTP that refuses, fails, breaks off, or does not keep what it must."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapters_registry.errors import StorageError, StorageUnavailable
from adapters_registry.storage import url_store
from adapters_registry.storage.url_store import UrlStore

if TYPE_CHECKING:
    from tests.services.fault_proxy import FaultProxy
    from tests.services.s3 import S3Bucket

NAME = "sha256/ab/abc.1"
RETRY = {
    "max_retries": 4,
    "retry_timeout": url_store._RETRY["retry_timeout"],
    "backoff": {
        "init_backoff": url_store._RETRY["backoff"]["init_backoff"] / 100,
        "max_backoff": url_store._RETRY["backoff"]["init_backoff"] / 50,
        "base": 2,
    },
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many retries as ever, with shorter pauses between them."""
    monkeypatch.setattr(url_store, "_RETRY", RETRY)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Bucket], str]:
    """Makes the usual variables those of a bucket; its URL."""

    def use_bucket(bucket: S3Bucket) -> str:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        return bucket.url

    return use_bucket


@pytest.fixture
def store(use: Callable[[S3Bucket], str], s3_bucket: S3Bucket, s3_proxy: FaultProxy) -> UrlStore:
    """Reached through the proxy."""
    return UrlStore(use(s3_bucket.behind(s3_proxy.url)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 100_000)
    return path


def act(store: UrlStore, name: str, file: Path) -> None:
    """Each call of the store by its name."""
    {
        "put": lambda: store.put("sha256/cd/new", file),
        "fetch": lambda: store.fetch(NAME, file.with_name("target")),
        "size": lambda: store.size(NAME),
        "list": lambda: list(store.list()),
        "delete": lambda: store.delete(NAME),
    }[name]()


CALLS = ["put", "fetch", "size", "list", "delete"]


@pytest.mark.survival("G5")
@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_fails_for_a_moment_is_asked_again(
    store: UrlStore, s3_proxy: FaultProxy, file: Path, call: str, status: int
) -> None:
    store.put(NAME, file)
    s3_proxy.answer(status, times=2)
    act(store, call, file)


@pytest.mark.survival("G5")
@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_goes_on_failing_is_unavailable(
    store: UrlStore, s3_proxy: FaultProxy, file: Path, call: str
) -> None:
    store.put(NAME, file)
    s3_proxy.answer(503, times=100)
    with pytest.raises(StorageUnavailable, match="cannot be reached or answers with errors"):
        act(store, call, file)
    s3_proxy.restore()
    act(store, call, file)


@pytest.mark.survival("G5")
@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_cannot_be_reached_is_unavailable(
    store: UrlStore, s3_proxy: FaultProxy, file: Path, call: str
) -> None:
    store.put(NAME, file)
    s3_proxy.refuse()
    with pytest.raises(StorageUnavailable):
        act(store, call, file)


@pytest.mark.survival("G5")
@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_refuses_is_not_taken_for_one_that_is_away(
    store: UrlStore, s3_proxy: FaultProxy, file: Path, call: str
) -> None:
    store.put(NAME, file)
    s3_proxy.answer(403, times=100)
    with pytest.raises(StorageError, match="the object store refuses it") as caught:
        act(store, call, file)
    assert not isinstance(caught.value, StorageUnavailable)


def test_an_answer_that_breaks_off_is_never_taken_for_the_whole(
    store: UrlStore, s3_proxy: FaultProxy, file: Path
) -> None:
    from tests.services.fault_proxy import Toward

    store.put(NAME, file)
    target = file.with_name("target")
    s3_proxy.cut_after(200_000, Toward.CLIENT)
    try:
        store.fetch(NAME, target)
    except StorageUnavailable:
        target.unlink(missing_ok=True)
        store.fetch(NAME, target)
    assert target.read_bytes() == file.read_bytes()


def test_a_put_that_breaks_off_stores_nothing(
    store: UrlStore, s3_proxy: FaultProxy, file: Path
) -> None:
    from tests.services.fault_proxy import Toward

    s3_proxy.cut_after(200_000, Toward.SERVER)
    try:
        store.put(NAME, file)
    except StorageUnavailable:
        assert store.size(NAME) is None
        store.put(NAME, file)
    assert store.size(NAME) == file.stat().st_size


def test_a_store_that_is_not_there_is_unavailable_at_the_start(
    use: Callable[[S3Bucket], str], s3_bucket: S3Bucket
) -> None:
    url = use(s3_bucket.behind("http://127.0.0.1:1"))
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        UrlStore(url)


def test_a_bucket_that_is_not_there_is_an_error_at_the_start(
    use: Callable[[S3Bucket], str], s3_bucket: S3Bucket
) -> None:
    use(s3_bucket)
    with pytest.raises(StorageError, match="the bucket of blobs_url does not exist"):
        UrlStore("s3://no-such-bucket/data")


@pytest.mark.parametrize("url", ["", "no url", "ftp://host/data", "s4://bucket"])
def test_a_url_of_no_store_that_is_known_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="it must be the URL of a bucket"):
        UrlStore(url)


class Accepting(BaseHTTPRequestHandler):
    """Every request succeeds, whatever its conditions."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def overwriting(s3_bucket: S3Bucket) -> Iterator[S3Bucket]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield s3_bucket.behind(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_store_that_lets_a_second_put_win_is_refused_at_the_start(
    use: Callable[[S3Bucket], str], overwriting: S3Bucket
) -> None:
    with pytest.raises(StorageError, match="supports conditional puts"):
        UrlStore(use(overwriting))
