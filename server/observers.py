"""Protocols through which the parts of the server report their work, in plain numbers.

`server/metrics` implements them; a part that reports does not import the metrics.
"""

from __future__ import annotations

from typing import Protocol


class LoadObserver(Protocol):
    """Loads of adapters into host memory."""

    def observe_load(self, seconds: float) -> None: ...
    def observe_load_failure(self) -> None: ...


class BatchObserver(Protocol):
    """Forwards, and how long their entries were queued."""

    def observe_batch(
        self,
        *,
        num_rows: int,
        num_tokens: int,
        num_adapters: int,
        num_placed: int,
        num_swapped: int,
    ) -> None: ...
    def observe_queue_time(self, seconds: float) -> None: ...


class GenerationObserver(BatchObserver, Protocol):
    """Forwards and the sequences that they generate."""

    def observe_first_token(self, *, after_s: float, num_prompt: int, num_cached: int) -> None:
        """The first token of a sequence came `after_s` seconds after its admission."""
        ...

    def observe_tokens(self, *, num_tokens: int, after_s: float | None) -> None:
        """A step generated tokens, each `after_s` after the one before; None for the first step."""
        ...

    def observe_finish(self, *, reason: str) -> None:
        """`reason` is why the sequence ended: stop, length, or what went wrong."""
        ...


class PredictObserver(Protocol):
    """Predict and generation calls, by task."""

    def observe_predict(
        self, *, tenant: str, task: str, num_inputs: int, num_tokens: int
    ) -> None: ...
    def observe_task_call(self, *, tenant: str, task: str, code: str, seconds: float) -> None: ...
    def observe_row_error(self, code: str) -> None: ...
