"""The summary of the demo, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from adapterd.demo.spawned import Addresses
from adapterd.demo.swap import SwapResult
from adapterd.values import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The results of the demo."""

    seconds: float
    trained: list[dict[str, Any]]
    forwards: int
    mixed_forwards: int
    swap: SwapResult


def print_result(console: Console, result: DemoResult) -> None:
    console.print()
    console.rule(f"[bold]Done in {result.seconds:.0f} seconds", align="left")
    console.print(
        f"{len(result.trained)} versions of 2 tasks on one base; {result.mixed_forwards} of "
        f"{result.forwards} forward passes mixed adapters; {result.swap.answers:,} answers during "
        "the swap, 0 dropped, 0 mixed.",
        highlight=False,
    )


def print_next_steps(console: Console) -> None:
    console.print(
        "\nThe server of the demo is stopped; `make demo KEEP=1` leaves it running.\n"
        "Next steps with your own rows (JSONL or CSV with the columns text and label):\n"
        "  make serve            # a permanent server, in another terminal\n"
        "  .venv/bin/adapterd train mytask --data rows.jsonl --head classify\n"
        '  .venv/bin/adapterd predict mytask "a text"\n'
        "  .venv/bin/adapterd tasks",
        highlight=False,
    )


def print_what_to_try(console: Console, addresses: Addresses) -> None:
    """The commands for a server that stays, with its address."""
    url = addresses.http
    console.print(
        "\nThe server runs until Ctrl-C. In another terminal:\n"
        f"  export ADAPTERD_URL={url} PATH=$PWD/.venv/bin:$PATH\n"
        '  adapterd predict sentiment "what a day" "never again"\n'
        "  adapterd adapters history sentiment       # which versions were in production\n"
        "  adapterd adapters rollback sentiment      # the version before\n"
        "  adapterd adapters show sentiment@2        # its verdict and its figures\n"
        "In a browser:\n"
        f"  {url}/v1/tasks/sentiment/versions/2/report\n"
        f"  {url}/docs\n"
        f"  {addresses.metrics}",
        highlight=False,
        soft_wrap=True,
    )


def summarize(job: Job) -> dict[str, Any]:
    return {"task": job.task, "version": job.version, "digest": job.digest, **job.result}


def result_to_json(result: DemoResult) -> dict[str, Any]:
    by_version = {f"{v}:{digest}": n for (v, digest), n in result.swap.by_version.items()}
    swap = {
        "answers": result.swap.answers,
        "dropped": result.swap.dropped,
        "mixed": result.swap.mixed,
        "by_version": by_version,
    }
    return {name: getattr(result, name) for name in ("seconds", "trained", "forwards")} | {
        "mixed_forwards": result.mixed_forwards,
        "swap": swap,
    }
