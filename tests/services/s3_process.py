"""The program of the tests' S3 server: prints its port, and serves until its input ends."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class OneChangeAtATime:
    """Looks up a key and writes it under one lock: moto itself does the two one after the other,
    so that of two create-only writes at the same time both could succeed.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environ, start)
        # read before the lock is taken, so that a slow sender holds nobody up
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            return self._application(environ, start)


class SilentRequests(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, type: str, message: str, *arguments: Any) -> None:  # noqa: A002
        pass


def main() -> None:
    application = OneChangeAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=SilentRequests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
