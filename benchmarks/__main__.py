"""Runs the benchmarks, each in its own process so that they share no threads.

`python -m benchmarks` prints the tables of serving in less than an hour; `python -m benchmarks all`
those of training, generation and quality as well, which takes some hours.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

#: the engine that today's is compared with: before the slot pool
BEFORE = "fc9348e"
#: of serving: each with its options and with the minutes after which it is ended
SERVING: dict[str, tuple[list[str], int]] = {
    "mixed_batch": (["--before", BEFORE], 15),
    "many_tasks": ([], 10),
    "swaps": ([], 6),
    "noisy_neighbour": ([], 8),
    "beside_training": (["--seconds", "10", "--rounds", "2"], 12),
    "gpu_estimate": ([], 4),
}
#: those of everything else, in an order from short to long
OTHERS = (
    "mixed_kinds", "shared_trunk", "serving", "sampling", "hostile", "generation", "training",
    "training_speed", "kinds", "quality",
)  # fmt: skip
OTHER_MINUTES = 120
#: for a benchmark that is ended to stop its server
STOP_S = 60


def main() -> int:
    """Returns the number of failures."""
    chosen = dict(SERVING)
    if sys.argv[1:] == ["all"]:
        chosen |= {name: ([], OTHER_MINUTES) for name in OTHERS}
    return sum(not _run(name, *options) for name, options in chosen.items())


def _run(name: str, options: list[str], minutes: int) -> bool:
    print(f"\n## python -m benchmarks.{' '.join([name, *options])}\n", flush=True)
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", f"benchmarks.{name}", *options])
    try:
        child.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        print(f"\nended: it took more than {minutes} minutes", flush=True)
        _end(child)
    print(f"\n({time.monotonic() - started:.0f} s)", flush=True)
    return child.returncode == 0


def _end(child: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, so that it stops the servers that it started."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
