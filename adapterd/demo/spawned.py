"""A server in a separate process, on free ports, with a temporary data directory."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from adapterd.errors import ServerFailed, Unavailable
from adapterd.settings import environment_without_settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0
LOG_TAIL_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses a server listens on."""

    http: str
    grpc: str
    metrics: str


class SpawnedServer:
    """A context manager that starts a server, and stops it and waits for its end on exit."""

    def __init__(self, *, base: str, options: Sequence[str] = ()) -> None:
        self._base = base
        self._options = options
        self._directory = Path(tempfile.mkdtemp(prefix="adapterd-"))
        self._log = self._directory / "server.log"
        self._ports = free_ports(3)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def addresses(self) -> Addresses:
        http, grpc, metrics = self._ports
        return Addresses(
            http=f"http://127.0.0.1:{http}",
            grpc=f"127.0.0.1:{grpc}",
            metrics=f"http://127.0.0.1:{metrics}/metrics",
        )

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def data_dir(self) -> Path:
        return self._directory / "data"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                self._command(), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=environment_without_settings(),
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def wait(self) -> None:
        """Waits until the server ends."""
        assert self._child is not None
        self._child.wait()

    def _command(self) -> list[str]:
        http, grpc, metrics = (str(port) for port in self._ports)
        # an adapterd.toml in the working directory must not configure this server
        empty_config = self._directory / "adapterd.toml"
        empty_config.touch()
        command = [sys.executable, "-m", "adapterd", "serve", "--base", self._base]
        command += ["--config", str(empty_config)]
        command += ["--data-dir", str(self.data_dir), "--host", "127.0.0.1"]
        command += ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
        return [*command, *self._options]

    def _wait_until_ready(self) -> None:
        assert self._child is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise ServerFailed(f"the server did not start:\n{self._log_tail()}")
            if self._is_ready():
                return
            time.sleep(0.2)
        raise Unavailable(
            f"the server was not ready in {START_TIMEOUT_S:.0f} s:\n{self._log_tail()}"
        )

    def _is_ready(self) -> bool:
        try:
            url = f"{self.addresses.http}/health/ready"
            return httpx.get(url, timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _log_tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]

    def _stop(self) -> None:
        assert self._child is not None
        self._child.terminate()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all are bound at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
