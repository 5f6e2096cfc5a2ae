"""An engine in a process of its own that runs prepared batches on request: today's, or the one of
an older commit, so that both can be measured in turn.

Run as a script, it imports only `engine`, from whichever tree is on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine

#: today's engine
HERE = Path(__file__).resolve().parents[1]
#: of a peer's or another engine's turn, threads that wait must not take part (as the server's own)
SPIN_COUNT = "20000"
Batches = Sequence[Sequence[Sequence[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a child holds. A way has the adapter directories of a batch's rows, in order; without
    any, rows meet the bare base and are pooled as `pooling` says (None: every token is returned).
    """

    base: str
    dtype: str
    threads: int
    batches: Batches
    adapters: Mapping[str, Sequence[Path]]
    pooling: Mapping[str, str | None]


class EngineChild:
    """A context manager; `dtype` is what the engine computes in once it has started."""

    def __init__(self, setup: Setup, tree: Path = HERE) -> None:
        self._setup = setup
        self._tree = tree
        self._child: subprocess.Popen[str] | None = None
        self.dtype = ""

    def __enter__(self) -> Self:
        env = {**os.environ, "PYTHONPATH": str(self._tree), "GOMP_SPINCOUNT": SPIN_COUNT}
        self._child = subprocess.Popen(
            # -P: the folder of this script holds modules of today's tree
            [sys.executable, "-P", str(Path(__file__).resolve())], cwd=self._tree, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=env | {"OMP_NUM_THREADS": str(self._setup.threads)},
        )  # fmt: skip
        self.dtype = self._ask(_to_json(self._setup))["dtype"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def run(self, way: str) -> None:
        """Every batch of the setup once."""
        self._ask({"way": way})

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, f"the engine of {self._tree} ended; its error is above"
        answer: dict[str, Any] = json.loads(line)
        return answer


def unpack_engine(before: str, scratch: Path) -> Path:
    """The folder that holds the engine of `before`: itself, if that is a folder, or a commit's
    files in `scratch`.
    """
    if Path(before).is_dir():
        return Path(before).resolve()
    archive, target = scratch / "before.tar", scratch / "before"
    command = ["git", "archive", "--output", str(archive), before, "engine"]
    subprocess.run(command, cwd=HERE, check=True)
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target


def _to_json(setup: Setup) -> dict[str, Any]:
    adapters = {way: list(map(str, paths)) for way, paths in setup.adapters.items()}
    return {
        "base": setup.base, "dtype": setup.dtype, "threads": setup.threads,
        "batches": [[list(ids) for ids in rows] for rows in setup.batches],
        "adapters": adapters, "pooling": dict(setup.pooling),
    }  # fmt: skip


# ---------------------------------------------------------------- in the child


def _serve() -> None:
    # whatever is printed goes to the error output; answers keep the pipe
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    setup = json.loads(sys.stdin.readline())
    config = EngineConfig(base=setup["base"], dtype=setup["dtype"], threads=setup["threads"])
    engine = Engine(config)
    steps = _load_ways(engine, setup)
    print(json.dumps({"dtype": engine.info.dtype}), file=answers, flush=True)
    for line in sys.stdin:
        for step in steps[json.loads(line)["way"]]:
            _check(engine.step(step))
        print(json.dumps({}), file=answers, flush=True)


def _load_ways(engine: Engine, setup: dict[str, Any]) -> dict[str, list[port.Predict]]:
    """The adapters of each way are in slots of their own."""
    steps, first = {}, 1
    for way, directories in setup["adapters"].items():
        digests = [f"{way}-{number}" for number in range(len(directories))]
        for digest, directory in zip(digests, directories, strict=True):
            _load(engine, digest, Path(directory))
        steps[way] = [
            port.Predict(
                rows=[_row(ids, number, setup["pooling"].get(way), first if digests else 0)
                      for number, ids in enumerate(rows)],
                place={first + number: digest for number, digest in enumerate(digests)},
            )
            for rows in setup["batches"]
        ]  # fmt: skip
        first += len(digests)
    return steps


def _row(ids: list[int], number: int, pooling: str | None, first_slot: int) -> port.Row:
    # rows of an older engine are made of lists
    make = getattr(port.Row, "of", port.Row)
    row: port.Row = make(ids=ids, slot=first_slot + number if first_slot else 0, pooling=pooling)
    return row


def _load(engine: Engine, digest: str, directory: Path) -> None:
    inspected = engine.step(port.Inspect(directory=str(directory)))
    assert isinstance(inspected, port.Inspected), inspected
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    loaded = engine.step(port.Load(digest=digest, semantics=inspected.semantics, files=files))
    assert isinstance(loaded, port.Loaded), loaded


def _check(result: port.Result) -> None:
    assert isinstance(result, port.Predicted), result
    assert all(isinstance(row, port.Array) for row in result.rows)


if __name__ == "__main__":
    _serve()
