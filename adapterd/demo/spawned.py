"""A server in a process of its own, on free ports, with a data directory that goes with it."""

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
    """Where a server listens."""

    http: str
    grpc: str
    metrics: str


class SpawnedServer:
    """Started on entering the block, asked to stop and waited for on leaving it."""

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
        """Until somebody stops the server."""
        assert self._child is not None
        self._child.wait()

    def _command(self) -> list[str]:
        http, grpc, metrics = (str(port) for port in self._ports)
        # a settings file where the user happens to stand is not about this server
        nothing = self._directory / "adapterd.toml"
        nothing.touch()
        command = [sys.executable, "-m", "adapterd", "serve", "--base", self._base]
        command += ["--config", str(nothing)]
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
    """Ports that were free a moment ago; held together while choosing, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
