"""What the server reports of its work, in plain numbers: one Protocol for each part that reports.

The metrics implement them; nothing that reports imports the metrics.
"""

from __future__ import annotations

from typing import Protocol


class LoadObserver(Protocol):
    """Loads of adapters into host memory."""

    def loaded(self, seconds: float) -> None: ...
    def load_failed(self) -> None: ...


class BatchObserver(Protocol):
    """Forwards, and how long their rows were queued."""

    def batch(
        self,
        *,
        num_rows: int,
        num_tokens: int,
        num_adapters: int,
        num_placed: int,
        num_swapped: int,
    ) -> None: ...
    def queued(self, seconds: float) -> None: ...


class GenerationObserver(BatchObserver, Protocol):
    """Forwards and the sequences that they generate."""

    def began_writing(self, *, after_s: float, num_prompt: int, num_cached: int) -> None:
        """The first token of a sequence, so long after it was admitted."""
        ...

    def wrote(self, *, num_tokens: int, after_s: float | None) -> None:
        """More tokens, with the time for each since the one before; the first have none before."""
        ...

    def ended(self, *, reason: str) -> None:
        """`reason` is why the sequence ended: stop, length, or what went wrong."""
        ...


class PredictObserver(Protocol):
    """Calls of tasks."""

    def predicted(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None: ...
    def task_ended(self, *, tenant: str, task: str, code: str, seconds: float) -> None: ...
    def row_failed(self, code: str) -> None: ...
