"""The steps of the demo: train, call, swap, read metrics. It checks every claim it prints."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adapterd.calls.call_options import TrainingOptions
from adapterd.client.async_client import AsyncClient
from adapterd.demo.ending import (
    DemoResult,
    print_next_steps,
    print_result,
    print_what_to_try,
    result_to_json,
    summarize,
)
from adapterd.demo.labelled import REVIEW_SCORE, SENTIMENT, demo_texts, labelled_file
from adapterd.demo.metrics_page import MetricsPage
from adapterd.demo.mixed import Row, call_both
from adapterd.demo.spawned import Addresses, SpawnedServer
from adapterd.demo.swap import CallerLoop, SwapResult, predict_references
from adapterd.demo.training import Training, print_reports, train_all
from adapterd.errors import ServerFailed
from adapterd.terminal.render import shorten
from adapterd.values import Job

SENTIMENT_TASK = "sentiment"
SCORE_TASK = "review-score"
TASKS = (SENTIMENT_TASK, SCORE_TASK)
NUM_MIXED_TEXTS = 24
TEXT_CHARS = 20
NUM_SWAP_TEXTS = 12
#: how long the callers run before and after the swap
SWAP_PHASE_S = 1.5


def run_demo(*, base: str, keep: bool, as_json: bool) -> None:
    """Runs the whole demo. Raises ServerFailed if one of its claims does not hold."""
    console = Console(stderr=as_json)
    start = time.monotonic()
    # a SIGTERM of the demo must stop its server too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _heading(console, 1, "A server loads one frozen base model")
    with _start(console, base) as server:
        result = asyncio.run(_Walkthrough(console, server.addresses, start).run())
        print_result(console, result)
        if as_json:
            sys.stdout.write(json.dumps(result_to_json(result), ensure_ascii=False) + "\n")
        if keep:
            print_what_to_try(console, server.addresses)
            server.wait()
        else:
            print_next_steps(console)


class _Walkthrough:
    """The steps share a console, a client and the server's addresses."""

    def __init__(self, console: Console, addresses: Addresses, start: float) -> None:
        self._console = console
        self._addresses = addresses
        self._start = start
        self._texts = demo_texts()

    async def run(self) -> DemoResult:
        async with AsyncClient(self._addresses.http) as client:
            await self._introduce(client)
            first = await self._train_two(client)
            await self._call_both(client)
            second, swap = await self._swap(client)
            page = await self._show_metrics()
        forwards, mixed = page.count_forwards()
        _require(mixed > 0, "no forward pass had rows of two adapters")
        return DemoResult(
            seconds=time.monotonic() - self._start,
            trained=[summarize(job) for job in (*first, second)],
            forwards=forwards,
            mixed_forwards=mixed,
            swap=swap,
        )

    async def _introduce(self, client: AsyncClient) -> None:
        info = await client.info()
        self._print(", ".join(f"{name}: {info[name]}" for name in info if _is_short(info[name])))
        at = self._addresses
        self._print(f"HTTP {at.http}   gRPC {at.grpc}   metrics {at.metrics}")

    async def _train_two(self, client: AsyncClient) -> list[Job]:
        _heading(self._console, 2, "Two tasks are trained on it from labelled texts")
        self._print("sentiment: positive or negative tweet?   review-score: rating from −4 to +4")
        trainings = [
            Training(
                task=SENTIMENT_TASK,
                data=labelled_file(SENTIMENT),
                options={
                    "head": "classify",
                    "kind": "lora",
                    "settings": {"preset": "fast"},
                },
            ),
            Training(
                task=SCORE_TASK,
                data=labelled_file(REVIEW_SCORE),
                options={
                    "head": "regress",
                    "kind": "lora",
                    "label_column": "score",
                    "settings": {"preset": "fast", "epochs": 4},
                },
            ),
        ]
        jobs = await train_all(client, self._console, trainings)
        print_reports(self._console, jobs)
        self._print(
            "baseline: a bag-of-words model on the same rows; "
            "trained: parameters of the adapter and its head."
        )
        self._print(
            "Both are published; a task's first version gets the alias `production` if it beats "
            "the constant answer."
        )
        return jobs

    async def _call_both(self, client: AsyncClient) -> None:
        _heading(self._console, 3, "Both tasks are called at the same time, over gRPC and HTTP")
        texts = self._texts[:NUM_MIXED_TEXTS]
        rows = await call_both(client, self._addresses.http, TASKS, texts)
        self._show_rows(rows[:8])
        forwards, mixed = (await MetricsPage.fetch(self._addresses.metrics)).count_forwards()
        self._print(
            f"{len(rows)} calls were answered. So far {mixed} of {forwards} forward passes of the "
            "base had rows of two adapters (metric adapterd_batch_adapters)."
        )

    async def _swap(self, client: AsyncClient) -> tuple[Job, SwapResult]:
        _heading(
            self._console,
            4,
            "A second version is promoted under load, a worse one is not",
        )
        texts = self._texts[: 2 * NUM_SWAP_TEXTS : 2]
        async with CallerLoop(client, TASKS, texts, time.monotonic) as loop:
            self._print("Callers send requests to both tasks during the training and the swap.")
            second = await self._train_second(client)
            assert second.version is not None
            before = loop.num_answers
            await asyncio.sleep(SWAP_PHASE_S)
            await client.promote(SENTIMENT_TASK, second.version)
            swapped_at = time.monotonic()
            await asyncio.sleep(SWAP_PHASE_S)
            await self._train_worse(client)
        self._print(f"production now points to version {second.version}, after {before} answers.")
        versions = [(SCORE_TASK, 1), (SENTIMENT_TASK, 1), (SENTIMENT_TASK, second.version)]
        references = await predict_references(client, versions, texts)
        result = loop.evaluate(SENTIMENT_TASK, references, swapped_at=swapped_at)
        self._show_swap(result)
        return second, result

    async def _train_second(self, client: AsyncClient) -> Job:
        settings = {"preset": "fast", "epochs": 8}
        return await self._train_sentiment(
            client, {"head": "classify", "kind": "lora", "settings": settings}
        )

    async def _train_worse(self, client: AsyncClient) -> None:
        """Trained with `promote`, and published without it."""
        settings = {"epochs": 1, "learning_rate": 1e-5}
        job = await self._train_sentiment(
            client,
            {"head": "classify", "kind": "bias", "settings": settings, "promote": True},
        )
        task = await client.task(SENTIMENT_TASK)
        _require(task.aliases["production"] != job.version, "a worse version was promoted")
        self._print(escape(job.result["warnings"][-1]))

    async def _train_sentiment(self, client: AsyncClient, options: TrainingOptions) -> Job:
        data = labelled_file(SENTIMENT)
        training = Training(task=SENTIMENT_TASK, data=data, options=options)
        jobs = await train_all(client, self._console, [training])
        print_reports(self._console, jobs)
        return jobs[0]

    def _show_swap(self, result: SwapResult) -> None:
        for (version, digest), count in sorted(result.by_version.items()):
            self._print(f"  {count:6,} answers from sentiment@{version}, digest {shorten(digest)}")
        _require(result.is_clean, f"{result.dropped} answers dropped, {result.mixed} mixed")
        _require(len(result.by_version) == 2, "the callers did not get answers of both versions")
        self._print(
            f"[green]{result.answers:,} answers, none dropped, none mixed[/]: each equals the "
            "answer of its version alone, and no call after the swap reached the old version."
        )

    async def _show_metrics(self) -> MetricsPage:
        _heading(self._console, 5, "The server's metrics")
        page = await MetricsPage.fetch(self._addresses.metrics)
        for line in page.lines():
            self._console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
        return page

    def _show_rows(self, rows: list[Row]) -> None:
        table = Table("transport", "task", "digest", "answer", "text", header_style="bold")
        for row in rows:
            text = escape(row.text[:TEXT_CHARS] + "…")
            name = f"{row.task}@{row.version}"
            table.add_row(row.transport, name, row.digest[:8], row.answer, text)
        self._console.print(table)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False)


@contextmanager
def _start(console: Console, base: str) -> Iterator[SpawnedServer]:
    with ExitStack() as stack:
        with console.status("starting the server …"):
            server = stack.enter_context(SpawnedServer(base=base))
        yield server


def _heading(console: Console, number: int, text: str) -> None:
    console.print()
    console.rule(f"[bold]{number}  {text}", align="left")


def _require(holds: bool, failure: str) -> None:
    """Fails the demo if one of its claims does not hold."""
    if not holds:
        raise ServerFailed(f"the demo failed: {failure}", problem="demo_failed")


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 40
