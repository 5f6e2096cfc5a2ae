"""Claims every job that waits and says which, one id a line; `python -m tests.trainer.claiming
DATABASE_URL`. Begins when its input ends.
"""

from __future__ import annotations

import sys

from adapters_registry.storage.database import Database
from trainer.jobs.store import JobStore


def main(url: str) -> None:
    store = JobStore(Database.open(url))
    sys.stdin.read()
    while (claim := store.claim("worker", 60.0)) is not None:
        sys.stdout.write(f"{claim.job.id}\n")


if __name__ == "__main__":
    main(sys.argv[1])
