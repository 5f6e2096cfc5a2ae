"""Compares the time of several methods: interleaved in one run, with medians and ratios."""

from __future__ import annotations

import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch


def interleave(
    ways: Mapping[str, Callable[[], object]], rounds: int, seed: int = 0, warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of each method per round; a round runs each method once, in a new order.

    Warm-up rounds are not included.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(seed)
    for round_number in range(rounds + warm_up):
        names = list(ways)
        order.shuffle(names)
        for name in names:
            started = time.perf_counter()
            ways[name]()
            if round_number >= warm_up:
                times[name].append(time.perf_counter() - started)
    return times


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}


def conditions(*packages: str) -> str:
    """One line with the machine and the versions, for the tables in `results.md`."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", *packages))
    capability = torch.backends.cpu.get_cpu_capability()
    machine = f"{_cpu()}, {torch.get_num_threads()} threads, {capability}"
    if torch.cuda.is_available():
        machine = f"{torch.cuda.get_device_name()} with CUDA {torch.version.cuda}, {machine}"
    return f"{machine}; Python {platform.python_version()}, {versions}"


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open() as info:
            return next(
                line.split(":", 1)[1].strip() for line in info if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
