"""Where a page's commands run: a new directory with the repository's files, a shell that keeps
its variables, and at most one server and its workers, on free ports. Knows nothing of pages.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from adapterd.profiles import Profile, ProfileFile
from tests.documents.pages import ROOT

_COMMAND_S = 600
_START_S = 90
_READY = '"action": "server.ready"'
#: starts a server, which the page leaves running; the next one replaces it
_SERVE = re.compile(r"^\s*(make serve|adapterd serve)\b")
_WORKER = re.compile(r"^\s*adapterd worker\b")
#: what the caller's environment says about this machine; all else is what a new terminal has
_INHERITED = ("LANG", "TMPDIR", "OMP_NUM_THREADS", "ADAPTERD_THREADS", "PIP_EXTRA_INDEX_URL")
#: the addresses that the documents name, by the port's index
_ADDRESS = re.compile(r"\b(?:localhost|127\.0\.0\.1):800([012])\b")
#: `make` must not renew the environment that this runs in; an answer of 400 or more is a failure
_PRELUDE = """
make() { command make -o .venv/.ready "$@"; }
curl() { command curl --no-progress-meter --fail-with-body "$@"; }
set -o pipefail -o allexport
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    status: int
    output: str
    seconds: float


class Workplace:
    """A directory, a shell's variables and the processes that a page leaves running."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="documents-"))
        self._directory = self._home / "adapterd"
        self._directory.mkdir()
        for each in ROOT.iterdir():
            if each.name not in (".git", "adapterd-data", "adapterd.toml"):
                (self._directory / each.name).symlink_to(each)
        self._state = self._home / "variables"
        self._state.write_text(f"cd {self._directory}\n", encoding="utf-8")
        self._ports = _free_ports(3)
        file = ProfileFile.read(self._home / ".config" / "adapterd" / "config.toml")
        file.put("page", Profile(url=f"http://127.0.0.1:{self._ports[0]}")).write()
        self._server: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def run_command(self, command: str) -> Ran:
        """A command that starts a server returns once it is ready."""
        if _SERVE.match(command):
            return self._serve(command)
        if _WORKER.match(command):
            return self._start_worker(command)
        return self._wait(["bash", "-c", self._script(command)])

    def run_python(self, code: str) -> Ran:
        script = self._home / "block.py"
        script.write_text(self._with_ports(code), encoding="utf-8")
        return self._wait(["bash", "-c", self._script(f"{sys.executable} {script}")])

    def close(self) -> None:
        for process in filter(None, (*self._workers, self._server)):
            _stop(process)
        shutil.rmtree(self._home, ignore_errors=True)

    def _wait(self, command: list[str]) -> Ran:
        begin = time.monotonic()
        with (self._home / "output").open("w+b") as output:
            process = self._start(command, output.fileno())
            try:
                status = process.wait(_COMMAND_S)
            except subprocess.TimeoutExpired:
                _stop(process)
                status = 124
            output.seek(0)
            text = output.read().decode(errors="replace")
        return Ran(status=status, output=text, seconds=time.monotonic() - begin)

    def _serve(self, command: str) -> Ran:
        begin = time.monotonic()
        if self._server is not None:
            _stop(self._server)
        log = self._home / "server.log"
        with log.open("wb") as output:
            self._server = self._start(["bash", "-c", self._script(command)], output.fileno())
        while _READY not in log.read_text(encoding="utf-8", errors="replace"):
            waited = time.monotonic() - begin
            if self._server.poll() is not None or waited > _START_S:
                text = log.read_text(encoding="utf-8", errors="replace")
                return Ran(status=self._server.poll() or 124, output=text, seconds=waited)
            time.sleep(0.1)
        return Ran(status=0, output="", seconds=time.monotonic() - begin)

    def _start_worker(self, command: str) -> Ran:
        begin = time.monotonic()
        with (self._home / "worker.log").open("ab") as output:
            process = self._start(["bash", "-c", self._script(command)], output.fileno())
        self._workers.append(process)
        return Ran(status=0, output="", seconds=time.monotonic() - begin)

    def _start(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            start_new_session=True,
        )

    def _script(self, command: str) -> str:
        """The command between what earlier ones exported and what it exports itself."""
        keep = f"{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > {self._state}"
        text = self._with_ports(command)
        return f"{_PRELUDE}. {self._state}\n{text}\nstatus=$?\n{keep}\nexit $status"

    def _with_ports(self, text: str) -> str:
        return _ADDRESS.sub(lambda found: f"127.0.0.1:{self._ports[int(found[1])]}", text)

    def _environment(self) -> dict[str, str]:
        """What a new terminal has, with the free ports as settings of a server."""
        http, grpc, metrics = self._ports
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self._home),
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "ADAPTERD_HTTP_PORT": str(http),
            "ADAPTERD_GRPC_PORT": str(grpc),
            "ADAPTERD_METRICS_PORT": str(metrics),
            "ADAPTERD_LOG_FORMAT": "json",
        }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and what it started, first kindly: a server drains and closes its files."""
    for sign, patience_s in ((signal.SIGTERM, 40), (signal.SIGKILL, 10)):
        deadline = time.monotonic() + patience_s
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.05)
