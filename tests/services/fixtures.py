"""The services as fixtures: each starts with the first test that asks for it, once for each worker
of a run, and is skipped with a reason where it cannot be had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

# what these import takes half a second, which a run that needs no service does not spend
if TYPE_CHECKING:
    from tests.services.databases import Databases
    from tests.services.fault_proxy import FaultProxy
    from tests.services.postgres import PostgresServer
    from tests.services.s3 import S3Bucket

DATABASE_URL = "ADAPTERD_TEST_DATABASE_URL"
S3_URL = "ADAPTERD_TEST_S3_URL"


def start_postgres(*, durable: bool = False) -> PostgresServer:
    """A server of one's own, to stop, pause and kill. Skips the test where there is none."""
    from tests.services.postgres import PostgresMissing, PostgresServer

    try:
        return PostgresServer(durable=durable)
    except PostgresMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Makes databases on the run's PostgreSQL server, or on the one that the variable names."""
    from tests.services.databases import Databases

    if DATABASE_URL in os.environ:
        yield Databases(os.environ[DATABASE_URL])
        return
    server = start_postgres()
    yield Databases(server.url())
    server.close()


@pytest.fixture
def postgres_url(databases: Databases) -> Iterator[str]:
    """An empty database: `postgresql+psycopg://…`."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """The test's own, which it may stop, pause and kill."""
    server = start_postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def create_bucket() -> Iterator[Callable[[], S3Bucket]]:
    """Makes buckets on the run's S3 server, or places in the bucket that the variable names."""
    from tests.services.s3 import S3Server, open_named_bucket

    if S3_URL in os.environ:
        yield lambda: open_named_bucket(os.environ[S3_URL])
        return
    server = S3Server()
    yield server.create_bucket
    server.close()


@pytest.fixture
def s3_bucket(create_bucket: Callable[[], S3Bucket]) -> Iterator[S3Bucket]:
    bucket = create_bucket()
    yield bucket
    bucket.clear()


@pytest.fixture
def postgres_proxy(postgres_url: str) -> Iterator[FaultProxy]:
    """In front of the server of `postgres_url`: `postgres_proxy.redirect(postgres_url)`."""
    yield from _stand_before(postgres_url, speaks_http=False)


@pytest.fixture
def s3_proxy(s3_bucket: S3Bucket) -> Iterator[FaultProxy]:
    """In front of the server of `s3_bucket`: `s3_bucket.behind(s3_proxy.url)`."""
    yield from _stand_before(s3_bucket.endpoint, speaks_http=True)


def _stand_before(url: str, *, speaks_http: bool) -> Iterator[FaultProxy]:
    from tests.services.fault_proxy import FaultProxy

    address = urlsplit(url)
    if address.hostname is None or address.port is None or address.scheme == "https":
        pytest.skip(f"a proxy needs a server's address and port without TLS, and not {url}")
    with FaultProxy(address.hostname, address.port, speaks_http=speaks_http) as proxy:
        yield proxy
