"""A PostgreSQL server of the tests' own: made in an empty folder, on a free port of loopback, gone
when the tests end, however they end. Knows no table.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "adapterd"
_START_S = 30.0
_STOP_S = 20.0
#: waits until its input ends, which it does when this process is gone; then stops the server and
#: removes its folder
_KEEPER = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -CONT "$pid" && kill -QUIT "$pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do test -e "$1/data/postmaster.pid" || break; sleep 0.3; done
rm -rf "$1"
"""
#: what is committed outlives the server's death, and not the machine's
_FAST = ("fsync=off", "full_page_writes=off")
_SETTINGS = (
    "autovacuum=off", "jit=off", "listen_addresses=127.0.0.1", "log_min_messages=warning",
    "max_connections=100", "max_wal_senders=0", "shared_buffers=16MB", "timezone=UTC",
    "wal_level=minimal",
)  # fmt: skip


class PostgresMissing(Exception):
    """This machine has no PostgreSQL server that the tests could start."""


class PostgresServer:
    """Starts in the constructor. `close` stops it and removes its data."""

    def __init__(self, *, durable: bool = False) -> None:
        """What is committed outlives the server; `durable` makes it outlive the machine too, at the
        price of a sync for each commit.
        """
        self._programs = find_programs()
        self._settings = _SETTINGS if durable else (*_SETTINGS, *_FAST)
        self._folder = Path(tempfile.mkdtemp(prefix="adapterd-pg-"))
        self._owner = _choose_owner()
        if self._owner is not None:
            shutil.chown(self._folder, self._owner)
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._pid = os.getpid()
        self._server: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        self._port = _find_port()
        self._run_initdb()
        self.start()

    @property
    def port(self) -> int:
        return self._port

    @property
    def log(self) -> str:
        """What the server has written down, for the message of a test that fails."""
        return (self._folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Returns once it answers; with the data that it had, on the same port."""
        assert self._server is None
        options = [word for setting in self._settings for word in ("-c", setting)]
        command = ["postgres", "-D", str(self._folder / "data"), "-p", str(self._port)]
        with (self._folder / "log").open("ab") as log:
            self._server = self._spawn([*command, "-k", str(self._folder), *options], log.fileno())
        self._wait_until_ready(self._server)

    def stop(self) -> None:
        """As an administrator does: connections are closed and everything is written down."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Without writing anything down: the next start recovers from the log of changes."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Connections stay open and are not answered, and new ones are not either."""
        for member in self._members():
            member.suspend()

    def resume(self) -> None:
        for member in self._members():
            member.resume()

    def close(self) -> None:
        """Idempotent. Does nothing in a process that was forked from the one that started it."""
        if os.getpid() != self._pid or self._keeper.poll() is not None:
            return
        if self._server is not None:
            self.resume()
            self.kill()
        self._keeper.kill()
        self._keeper.communicate()
        shutil.rmtree(self._folder)
        atexit.unregister(self.close)

    def _run_initdb(self) -> None:
        command = ["initdb", "-D", str(self._folder / "data"), "-A", "trust", "-U", _USER]
        with (self._folder / "log").open("ab") as log:
            made = self._spawn(
                [*command, "-E", "UTF8", "--locale=C", "--no-sync"], log.fileno()
            ).wait(_START_S)
        if made != 0:
            raise AssertionError(f"initdb ended with status {made}:\n{self.log}")

    def _spawn(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        # another user starts where only root may be, and would complain
        return subprocess.Popen(
            [str(self._programs / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self._folder,
            user=self._owner,
            extra_groups=None if self._owner is None else [],
            process_group=0,
        )

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        """The last line of the file that the server writes for `pg_ctl` says how far it is."""
        status = self._folder / "data" / "postmaster.pid"
        end = time.monotonic() + _START_S
        while time.monotonic() < end and server.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                lines = status.read_text().splitlines()
                if lines[:1] == [str(server.pid)] and lines[-1].strip() == "ready":
                    return
            time.sleep(0.01)
        raise AssertionError(f"PostgreSQL has not started:\n{self.log}")

    def _end(self, how: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(how)
        self._server.wait(_STOP_S)
        self._server = None

    def _members(self) -> Iterator[psutil.Process]:
        """The server first, so that it starts nobody while the others are counted."""
        assert self._server is not None
        first = psutil.Process(self._server.pid)
        yield first
        yield from first.children(recursive=True)


def find_programs() -> Path:
    """The folder of `initdb` and `postgres`. Debian keeps them off the path, a folder a release."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    releases = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not releases:
        raise PostgresMissing(
            f"no PostgreSQL server: initdb is neither on the path nor in {_DEBIAN}; install the "
            "package postgresql, or name a server in ADAPTERD_TEST_DATABASE_URL"
        )
    return releases[-1].parent


def _choose_owner() -> str | None:
    """Whom it runs as, because it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
