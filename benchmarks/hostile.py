"""Latencies of other callers while one caller holds connections open or checks large files.

`python -m benchmarks.hostile` starts its own server on loopback with the default base; numbers of
connections and run time are limited.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.measure import conditions, table
from server.auth.key_file import create_key

_OPEN_FILES = 1024
_HALF_OPEN = 1100
_HELD_S = 20.0
_CHECKS, _ROWS = 6, 60_000
_QUIET_S = 15.0


class Sampler:
    """Repeats one call in a separate thread."""

    def __init__(self, call: Callable[[], httpx.Response], pause_s: float = 0.03) -> None:
        self._call, self._pause_s = call, pause_s
        self._stop = threading.Event()
        self.failed = 0
        self.ms: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def drain(self) -> str:
        """Returns the samples since the last call as a table cell, and clears them."""
        samples, self.ms = sorted(self.ms), []
        at = [samples[min(len(samples) - 1, int(len(samples) * share))] for share in (0.5, 0.99)]
        return f"{at[0]:.1f} / {at[1]:.1f} ({samples[-1]:.0f})"

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            started = time.perf_counter()
            try:
                self.failed += not self._call().is_success
            except httpx.HTTPError:
                self.failed += 1
            self.ms.append((time.perf_counter() - started) * 1e3)


@contextmanager
def serving(folder: Path, keys: Path) -> Iterator[tuple[int, Path]]:
    """The port and the log of a server that may open `_OPEN_FILES` files."""
    port, log = _free_port(), folder / "log"
    command = [
        sys.executable, "-m", "adapterd", "serve", "--data-dir", str(folder / "data"),
        "--http-port", str(port), "--grpc-port", "0", "--metrics-port", "0",
        "--keys-file", str(keys),
    ]  # fmt: skip
    limited = ["sh", "-c", f'ulimit -n {_OPEN_FILES}; exec "$@"', "sh", *command]
    with log.open("wb") as out:
        server = subprocess.Popen(limited, stdout=out, stderr=out)
    try:
        with _client(port) as client:
            while not _is_ready(client):
                assert server.poll() is None, log.read_text()
                time.sleep(0.3)
        yield port, log
    finally:
        server.terminate()
        server.wait(60)


def kept_alive(port: int) -> None:
    with _client(port) as client:
        ms = []
        for _ in range(500):
            started = time.perf_counter()
            client.get("/health/live")
            ms.append((time.perf_counter() - started) * 1e3)
    ms.sort()
    print(f"GET /health/live, kept alive: p50 {ms[250]:.2f} ms, p99 {ms[495]:.2f} ms\n")


def half_open(port: int, log: Path) -> None:
    size = log.stat().st_size
    with _client(port) as kept:
        samplers = {
            "existing connection": Sampler(lambda: kept.get("/health/live")),
            "new connection": Sampler(
                lambda: httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False)
            ),
        }
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(_HALF_OPEN)]
        for sock in sockets:
            sock.sendall(b"GET /x HTTP/1.1\r\n")
        time.sleep(_HELD_S)
        for sampler in samplers.values():
            sampler.stop()
        for sock in sockets:
            sock.close()
    header = [f"with {_HALF_OPEN} half-open connections", "p50 / p99 (max) ms", "unanswered"]
    rows = [[name, its.drain(), str(its.failed)] for name, its in samplers.items()]
    print(table(header, rows))
    print(f"\nThe log grew by {log.stat().st_size - size} bytes.\n")


def checks(port: int, acme: str, globex: str) -> None:
    with _client(port, acme) as attacker, _client(port, globex) as other:
        chance, words = random.Random(1), [f"w{number}" for number in range(400)]
        rows = "\n".join(
            json.dumps(
                {"text": " ".join(chance.choices(words, k=40)), "label": chance.choice("ab")}
            )
            for _ in range(_ROWS)
        )
        form = {"files": {"file": ("a.jsonl", rows)}, "data": {"purpose": "fine-tune"}}
        file = attacker.post("/v1/files", **form).json()["id"]
        inputs = {"inputs": ["a short text"]}
        samplers = {
            "GET /v1/tasks": Sampler(lambda: other.get("/v1/tasks")),
            "predict": Sampler(lambda: other.post("/v1/tasks/base/predict", json=inputs)),
        }
        time.sleep(_QUIET_S)
        quiet = {name: sampler.drain() for name, sampler in samplers.items()}
        with ThreadPoolExecutor(_CHECKS) as threads:
            path, body = f"/v1/files/{file}/check", {"head": "classify"}
            started = time.perf_counter()
            answers = list(
                threads.map(lambda _: attacker.post(path, json=body).status_code, range(_CHECKS))
            )
        for sampler in samplers.values():
            sampler.stop()
    seconds = time.perf_counter() - started
    header = ["calls of another tenant, p50 / p99 (max) ms", "idle server"]
    header += [f"during {_CHECKS} checks"]
    print(table(header, [[name, quiet[name], its.drain()] for name, its in samplers.items()]))
    print(f"\nThe checks of {_ROWS:,} rows were answered {sorted(answers)} within {seconds:.0f} s.")


def _client(port: int, key: str = "") -> httpx.Client:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600, trust_env=False
    )


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def main() -> None:
    print(conditions("uvicorn", "grpcio"), "\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = folder / "keys.jsonl"
        acme, globex = (create_key(keys, tenant, "admin")[1] for tenant in ("acme", "globex"))
        with serving(folder, keys) as (port, log):
            kept_alive(port)
            half_open(port, log)
            checks(port, acme, globex)


if __name__ == "__main__":
    main()
