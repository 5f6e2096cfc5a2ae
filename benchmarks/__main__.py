"""Runs every benchmark, each in its own process so that they share no threads."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "mixed_batch", "mixed_kinds", "shared_trunk", "serving", "beside_training", "sampling",
    "generation", "training", "training_speed", "kinds", "quality", "hostile",
)  # fmt: skip


def main() -> int:
    """Runs all benchmarks; returns the number of failures."""
    failed = 0
    for name in BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        failed += subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
