"""A server as its machine sees it: where it listens and what it imports."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import sys
from pathlib import Path

import psutil
import pytest

from engine.config import EngineConfig
from engine.runtime.supervisor import SupervisedEngine
from engine.testing.fake_engine import write_fake_adapter
from tests.architecture.sources import parse, relative, source_files
from tests.engine.fake_engine_process import write_launcher
from tests.server.build import http_client, running
from tests.server.test_adapters import parts

#: reading with these runs what the sender wrote
RUNS_WHAT_IT_READS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LISTENS = 0x10000


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses of IP sockets and paths of Unix ones that these processes take connections at."""
    found: set[tuple[str, int]] = set()
    held: set[str] = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that has answered meanwhile
            found |= {
                (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
            held |= _descriptors(process.pid)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & LISTENS and f"socket:[{fields[6]}]" in held:
            found.add((fields[7] if len(fields) > 7 else "unnamed", 0))
    return found


def _descriptors(pid: int) -> set[str]:
    """What each is of."""
    targets: set[str] = set()
    with contextlib.suppress(FileNotFoundError):  # the process has ended
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed
                targets.add(str(path.readlink()))
    return targets


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="reads Linux's /proc")
@pytest.mark.survival("H7")
async def test_a_server_and_its_children_listen_on_three_ports_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = psutil.Process()
    before = listening([me, *me.children(recursive=True)])
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(write_launcher(tmp_path)))
        engine = await asyncio.to_thread(SupervisedEngine, EngineConfig(base="stand-in"))
    try:
        async with (
            running(tmp_path / "data", engine, train=True) as server,
            http_client(server) as http,
        ):
            # a child reads it, so that the process which starts such children is there too
            adapter = write_fake_adapter(tmp_path / "adapter")
            assert (
                await http.post("/v1/tasks/mood/versions", files=parts(adapter))
            ).status_code == 201
            processes = [me, *me.children(recursive=True)]
            assert engine.pid in {process.pid for process in processes}
            ports = {server.ports.http, server.ports.grpc, server.ports.metrics}
            assert listening(processes) - before == {("127.0.0.1", port) for port in ports}
    finally:
        await asyncio.to_thread(engine.close)


@pytest.mark.survival("H7", "A1")
def test_nothing_of_ours_reads_with_a_module_that_runs_what_it_reads() -> None:
    """Nor does `torch.load`, which unpickles too."""
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in source_files()
        for node in ast.walk(parse(path))
        if _imported(node) & RUNS_WHAT_IT_READS
        or (isinstance(node, ast.Attribute) and node.attr == "load" and _is_torch(node.value))
    ]
    assert found == []


def _is_torch(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "torch"


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module.partition(".")[0]}
    return set()
