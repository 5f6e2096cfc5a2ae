"""The limits of a child process. Knows no process but the one it is applied in."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """Memory beyond what the process begins with, processor time, and time on the clock."""

    memory_bytes: int
    cpu_s: int
    wall_s: float

    def apply(self) -> None:
        """To this process and all that it starts, for good. The clock is the parent's to watch."""
        space = _address_space() + self.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        # at the first the process is told to end, at the second it is ended
        resource.setrlimit(resource.RLIMIT_CPU, (self.cpu_s, self.cpu_s + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # where the machine's memory ends, this process goes first
            Path("/proc/self/oom_score_adj").write_text("1000")


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no Linux
        return 512 * MIB
    return pages * os.sysconf("SC_PAGE_SIZE")
