"""What a server needs of whatever runs its jobs, a thread or a process."""

from __future__ import annotations

from typing import Protocol


class JobRunner(Protocol):
    """Runs jobs from `start` to `stop`."""

    #: failures that no job is to blame for, since the start
    num_failures: int

    @property
    def problem(self) -> str | None:
        """Why no job is run now, as code and sentence."""
        ...

    def start(self) -> None: ...

    def stop(self, timeout_s: float = 30.0) -> None:
        """The running job goes back to the queue, to be continued by the next worker."""
        ...
