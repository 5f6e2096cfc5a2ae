"""Every benchmark in turn, each in a process of its own so that none inherits another's threads."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "mixed_batch", "mixed_kinds", "shared_trunk", "serving", "sampling", "generation", "training",
    "training_speed", "kinds", "quality", "hostile",
)  # fmt: skip


def main() -> int:
    """The number of benchmarks that failed."""
    failed = 0
    for name in BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        failed += subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
