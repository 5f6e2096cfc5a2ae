"""The number of threads that torch computes with: set explicitly, and reported."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def set_threads(num_threads: int | None) -> int:
    """`num_threads`, or one per physical core this process may run on; answers what was set."""
    count = num_threads or physical_cores()
    torch.set_num_threads(count)
    return count


def use_one_thread() -> None:
    """Let the calling thread compute alone, whatever the others do.

    torch keeps the number for each thread from when that thread is first asked for it, and another
    for threads to come, which is now one, too: `set_threads` must be called again elsewhere.
    """
    torch.set_num_threads(1)
    torch.get_num_threads()


def physical_cores() -> int:
    """Cores, not hyper-threads: two threads on one core slow matrix products down."""
    allowed = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return len({_core(cpu) for cpu in allowed})


def _core(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)
