"""What the service tells of its calls, in plain numbers. The metrics listen."""

from __future__ import annotations

from typing import Protocol


class PredictObserver(Protocol):
    """Hears of predict calls."""

    def predicted(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None: ...
    def task_ended(self, *, tenant: str, task: str, code: str, seconds: float) -> None: ...
    def row_failed(self, code: str) -> None: ...
