"""An S3 server of the tests' own, in a process of its own, and buckets on it. Knows no key."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

_ROOT = Path(__file__).parents[2]
_STOP_S = 10.0
#: what moto takes to tell whose bucket it is; it checks no signature
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=tests/20200101/us-east-1/s3/aws4_request"
_TIMEOUT = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Bucket:
    """A place of a bucket that is empty, and the variables by which a process reaches it."""

    #: `s3://bucket/prefix`
    url: str
    #: the usual variables of AWS's tools
    environment: Mapping[str, str] = field(repr=False)

    @property
    def endpoint(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    def behind(self, endpoint: str) -> S3Bucket:
        """The same one, reached at another address, such as that of a proxy."""
        return replace(self, environment={**self.environment, "AWS_ENDPOINT_URL": endpoint})

    def open_store(self) -> S3Store:
        """Tells an error at the first failure, because tests count failures."""
        config = {name.lower(): value for name, value in self.environment.items()}
        # an option of the client, and obstore crashes over it among those of the store
        allow_http = config.pop("aws_allow_http", "false") == "true"
        return S3Store.from_url(
            self.url,
            config=cast(Any, config),
            client_options={"allow_http": allow_http, "timeout": _TIMEOUT},
            retry_config={"max_retries": 0},
        )

    def clear(self) -> None:
        store = self.open_store()
        for page in obstore.list(store):
            obstore.delete(store, [each["path"] for each in page])


class S3Server:
    """moto's, which keeps everything in memory. Starts in the constructor; `close` ends it."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.services.s3_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            process_group=0,
        )
        self._pid = os.getpid()
        atexit.register(self.close)
        assert self._server.stdout is not None
        port = self._server.stdout.readline()
        assert port, "the S3 server has not started: its error is above"
        self._port = int(port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def create_bucket(self) -> S3Bucket:
        name = f"tests-{uuid.uuid4().hex[:12]}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        with contextlib.closing(connection):
            connection.request("PUT", f"/{name}", headers={"Authorization": _AUTHORIZATION})
            status = connection.getresponse().status
        assert status == 200, f"the bucket {name} could not be made: status {status}"
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
        return S3Bucket(url=f"s3://{name}/data", environment=variables)

    def pause(self) -> None:
        """Connections are accepted by the kernel and not answered."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Idempotent. Does nothing in a process that was forked from the one that started it."""
        if os.getpid() != self._pid:
            return
        self._server.kill()
        self._server.communicate(timeout=_STOP_S)
        atexit.unregister(self.close)


def open_named_bucket(url: str) -> S3Bucket:
    """A place of its own in a bucket that exists, by the variables of this process."""
    assert urlsplit(url).scheme == "s3", f"ADAPTERD_TEST_S3_URL is {url}, and not s3://…"
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return S3Bucket(url=f"{url.rstrip('/')}/{uuid.uuid4().hex[:12]}", environment=variables)
