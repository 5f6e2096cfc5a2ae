"""A hub on loopback that speaks the protocol of huggingface.co, with one repository."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPOSITORY = "lena/mood"


def commit_of(files: dict[str, bytes]) -> str:
    content = json.dumps({name: data.hex() for name, data in files.items()}).encode()
    return hashlib.sha1(content).hexdigest()


@dataclass
class Hub:
    """`large` names the files that lie in the hub's large storage, on a host of its own."""

    files: dict[str, bytes]
    large: set[str] = field(default_factory=lambda: {"adapter_model.safetensors"})
    url: str = ""
    #: where downloads of large files go; empty: to this hub
    storage: str = ""
    #: what is sent in place of a file
    swaps: dict[str, bytes] = field(default_factory=dict)
    #: the commit that files come from, where it is not the one that was asked for
    moved: str = ""
    status: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    #: every answer waits until it is set
    gate: threading.Event = field(default_factory=threading.Event)
    listed: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def commit(self) -> str:
        return commit_of(self.files)

    def entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
        if name in self.large:
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
        return {**entry, **self.listed}

    def etag(self, name: str) -> str:
        entry = self.entry(name)
        return str(entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"])


@contextmanager
def serving_hub(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.gate.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.requests.append((self.command, self.path, headers))
            hub.asked.set()
            hub.gate.wait(30)
            path = self.path.partition("?")[0]
            api = f"/api/models/{REPOSITORY}/revision/"
            resolve = f"/{REPOSITORY}/resolve/{hub.commit}/"
            if hub.status:
                self.send(hub.status, b"")
            elif path.startswith(api) and path.removeprefix(api) in ("main", "v1", hub.commit):
                siblings = [hub.entry(name) for name in hub.files]
                answer = {"id": REPOSITORY, "sha": hub.commit, "siblings": siblings}
                self.send(200, json.dumps(answer).encode(), {"content-type": "application/json"})
            elif path.startswith("/storage/"):
                name = path.removeprefix("/storage/")
                self.send(200, hub.swaps.get(name, hub.files[name]))
            elif path.startswith(resolve) and path.removeprefix(resolve) in hub.files:
                self.resolve(path.removeprefix(resolve))
            else:
                self.send(404, b"", {"x-error-code": "RepoNotFound"})

        def resolve(self, name: str) -> None:
            headers = {"x-repo-commit": hub.moved or hub.commit, "etag": f'"{hub.etag(name)}"'}
            if name not in hub.large:
                self.send(200, hub.swaps.get(name, hub.files[name]), headers)
                return
            size = str(len(hub.files[name]))
            linked = {"x-linked-etag": headers["etag"], "x-linked-size": size}
            location = {"location": f"{hub.storage or hub.url}/storage/{name}"}
            self.send(302, b"", {**headers, **linked, **location})

        def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
