"""Build information, and memory, processor time and open files of the server's processes."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Info, PlatformCollector, ProcessCollector


def register_processes(
    registry: CollectorRegistry, *, version: str, dtype: str, device: str, engine: Callable[[], int]
) -> None:
    """`engine` returns the process id of the engine, which changes when it is restarted."""
    build = Info("adapterd_build", "The release, its precision and device", registry=registry)
    build.info({"version": version, "dtype": dtype, "device": device})
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    if engine() != os.getpid():
        ProcessCollector(namespace="adapterd_engine", pid=engine, registry=registry)
