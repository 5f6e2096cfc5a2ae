"""The demonstration, step by step: train, call, swap, watch. It checks every claim it prints."""

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

from adapterd.client.async_client import AsyncClient
from adapterd.demo.ending import Ending, plain_ending, print_ending, summary
from adapterd.demo.labelled import REVIEW_SCORE, SENTIMENT, demo_texts, labelled_file
from adapterd.demo.metrics_page import MetricsPage
from adapterd.demo.mixed import Row, call_both
from adapterd.demo.spawned import Addresses, SpawnedServer
from adapterd.demo.swap import CallerLoop, Verdict, ask_alone
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
#: how long the callers go on before and after the swap
SWAP_SHARE_S = 1.5


def run_demo(*, base: str, keep: bool, as_json: bool) -> None:
    """The whole story. Raises ServerFailed if a promise did not hold."""
    console = Console(stderr=as_json)
    begin = time.monotonic()
    # whoever stops the demonstration stops its server too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _heading(console, 1, "One frozen base becomes resident in a server of its own")
    with _start(console, base) as server:
        ending = asyncio.run(_Story(console, server.addresses, begin).run())
        print_ending(console, ending)
        if as_json:
            sys.stdout.write(json.dumps(plain_ending(ending), ensure_ascii=False) + "\n")
        if keep:
            _keep(console, server)


class _Story:
    """The steps share a console, a client and the server's addresses."""

    def __init__(self, console: Console, addresses: Addresses, begin: float) -> None:
        self._console = console
        self._at = addresses
        self._begin = begin
        self._texts = demo_texts()

    async def run(self) -> Ending:
        async with AsyncClient(url=self._at.http, grpc_target=self._at.grpc) as client:
            await self._introduce(client)
            first = await self._train_two(client)
            await self._call_both(client)
            second, verdict = await self._swap(client)
            page = await self._watch()
        forwards, mixed = page.forwards()
        _hold(mixed > 0, "no forward held rows of two adapters")
        return Ending(
            seconds=time.monotonic() - self._begin,
            trained=[summary(job) for job in (*first, second)],
            forwards=forwards,
            mixed_forwards=mixed,
            swap=verdict,
        )

    async def _introduce(self, client: AsyncClient) -> None:
        info = await client.info()
        self._say(", ".join(f"{name}: {info[name]}" for name in info if _is_short(info[name])))
        self._say(f"HTTP {self._at.http}   gRPC {self._at.grpc}   metrics {self._at.metrics}")

    async def _train_two(self, client: AsyncClient) -> list[Job]:
        _heading(self._console, 2, "Two tasks are trained on it from real labelled text")
        self._say("sentiment: is a tweet positive or negative?   review-score: how good, −4 … +4?")
        trainings = [
            Training(
                task=SENTIMENT_TASK,
                data=labelled_file(SENTIMENT),
                options={"head": "classify", "kind": "lora", "settings": {"seeds": 1}},
            ),
            Training(
                task=SCORE_TASK,
                data=labelled_file(REVIEW_SCORE),
                options={
                    "head": "regress",
                    "kind": "lora",
                    "label_column": "score",
                    "settings": {"epochs": 2, "seeds": 1},
                },
            ),
        ]
        jobs = await train_all(client, self._console, trainings)
        print_reports(self._console, jobs)
        self._say(
            "baseline: a bag of words on the same rows; trained: parameters of adapter and head."
        )
        self._say("Both are published: a first version becomes `production` at once.")
        return jobs

    async def _call_both(self, client: AsyncClient) -> None:
        _heading(self._console, 3, "Both are called by task id, over gRPC and HTTP, all at once")
        texts = self._texts[:NUM_MIXED_TEXTS]
        rows = await call_both(client, self._at.http, TASKS, texts)
        self._show_rows(rows[:8])
        forwards, mixed = (await MetricsPage.fetch(self._at.metrics)).forwards()
        self._say(
            f"{len(rows)} calls answered. So far {mixed} of {forwards} forwards of the base held "
            "rows of two adapters (metric adapterd_batch_adapters)."
        )

    async def _swap(self, client: AsyncClient) -> tuple[Job, Verdict]:
        _heading(self._console, 4, "A second version is trained and swapped in under load")
        texts = self._texts[: 2 * NUM_SWAP_TEXTS : 2]
        async with CallerLoop(client, TASKS, texts, time.monotonic) as loop:
            self._say("Callers ask both tasks without a pause, while it trains and while it moves.")
            second = await self._train_second(client)
            assert second.version is not None
            before = loop.num_answers
            await asyncio.sleep(SWAP_SHARE_S)
            await client.promote(SENTIMENT_TASK, second.version)
            swapped_at = time.monotonic()
            await asyncio.sleep(SWAP_SHARE_S)
        self._say(f"production → version {second.version}, after {before} answers.")
        versions = [(SCORE_TASK, 1), (SENTIMENT_TASK, 1), (SENTIMENT_TASK, second.version)]
        alone = await ask_alone(client, versions, texts)
        verdict = loop.verdict(SENTIMENT_TASK, alone, swapped_at=swapped_at)
        self._show_verdict(verdict)
        return second, verdict

    async def _train_second(self, client: AsyncClient) -> Job:
        training = Training(
            task=SENTIMENT_TASK,
            data=labelled_file(SENTIMENT),
            options={
                "head": "classify",
                "kind": "bottleneck",
                "settings": {"epochs": 2, "seeds": 1},
            },
        )
        jobs = await train_all(client, self._console, [training])
        print_reports(self._console, jobs)
        return jobs[0]

    def _show_verdict(self, verdict: Verdict) -> None:
        for (version, digest), count in sorted(verdict.by_version.items()):
            self._say(f"  {count:6,} of sentiment from version {version}, digest {shorten(digest)}")
        _hold(verdict.is_clean, f"{verdict.dropped} answers dropped, {verdict.mixed} mixed")
        _hold(len(verdict.by_version) == 2, "the callers did not see both versions")
        self._say(
            f"[green]{verdict.answers:,} answers, none dropped, none mixed[/]: each has the "
            "numbers that its version gives alone, and no call made after the swap got the old one."
        )

    async def _watch(self) -> MetricsPage:
        _heading(self._console, 5, "What the metrics saw")
        page = await MetricsPage.fetch(self._at.metrics)
        for line in page.lines():
            self._console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
        return page

    def _show_rows(self, rows: list[Row]) -> None:
        table = Table("over", "task", "digest", "answer", "text", header_style="bold")
        for row in rows:
            text = escape(row.text[:TEXT_CHARS] + "…")
            name = f"{row.task}@{row.version}"
            table.add_row(row.transport, name, row.digest[:8], row.answer, text)
        self._console.print(table)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)


@contextmanager
def _start(console: Console, base: str) -> Iterator[SpawnedServer]:
    with ExitStack() as stack:
        with console.status("starting …"):
            server = stack.enter_context(SpawnedServer(base=base))
        yield server


def _heading(console: Console, number: int, text: str) -> None:
    console.print()
    console.rule(f"[bold]{number}  {text}", align="left")


def _keep(console: Console, server: SpawnedServer) -> None:
    console.print("\nThe server stays until Ctrl-C. In another terminal:", highlight=False)
    console.print(f"  export ADAPTERD_URL={server.addresses.http}", highlight=False)
    console.print(f"  export ADAPTERD_GRPC={server.addresses.grpc}", highlight=False)
    server.wait()


def _hold(holds: bool, failure: str) -> None:
    """A demonstration that fails its own claims must say so and exit with it."""
    if not holds:
        raise ServerFailed(f"the demonstration failed: {failure}", problem="demo_failed")


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= 40
