"""What this server's processes are and use: memory, processor time and open files of each."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Info, PlatformCollector, ProcessCollector


def register_processes(
    registry: CollectorRegistry, *, version: str, dtype: str, device: str, engine: Callable[[], int]
) -> None:
    """`engine` is the process that computes, which may be another after a crash."""
    build = Info("adapterd_build", "The release, and how its engine computes", registry=registry)
    build.info({"version": version, "dtype": dtype, "device": device})
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    if engine() != os.getpid():
        ProcessCollector(namespace="adapterd_engine", pid=engine, registry=registry)
