"""How the demonstration ends: what was shown, for people and for those who read JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from adapterd.demo.swap import Verdict
from adapterd.values import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What was shown, for those who read JSON."""

    seconds: float
    trained: list[dict[str, Any]]
    forwards: int
    mixed_forwards: int
    swap: Verdict


def print_ending(console: Console, ending: Ending) -> None:
    console.print()
    console.rule(f"[bold]Done in {ending.seconds:.0f} seconds", align="left")
    console.print(
        f"{len(ending.trained)} versions of 2 tasks on one base; {ending.mixed_forwards} of "
        f"{ending.forwards} forwards mixed adapters; {ending.swap.answers:,} answers across a "
        "swap, 0 dropped, 0 mixed.\n\n"
        "Next, with your own rows (JSONL or CSV with text and label):\n"
        "  make serve            # a server that stays, in another terminal\n"
        "  .venv/bin/adapterd train mytask --data rows.jsonl --head classify\n"
        '  .venv/bin/adapterd predict mytask "a text"\n'
        "  .venv/bin/adapterd tasks",
        highlight=False,
    )


def summary(job: Job) -> dict[str, Any]:
    return {"task": job.task, "version": job.version, "digest": job.digest, **job.result}


def plain_ending(ending: Ending) -> dict[str, Any]:
    by_version = {f"{v}:{digest}": n for (v, digest), n in ending.swap.by_version.items()}
    swap = {
        "answers": ending.swap.answers,
        "dropped": ending.swap.dropped,
        "mixed": ending.swap.mixed,
        "by_version": by_version,
    }
    return {name: getattr(ending, name) for name in ("seconds", "trained", "forwards")} | {
        "mixed_forwards": ending.mixed_forwards,
        "swap": swap,
    }
