"""What dispatch tells of its work, in plain numbers. The metrics listen."""

from __future__ import annotations

from typing import Protocol


class BatchObserver(Protocol):
    """Hears of forwards."""

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
    """Hears of texts too."""

    def began_writing(self, *, after_s: float, num_prompt: int, num_cached: int) -> None:
        """A first token, so long after the text was admitted."""
        ...

    def wrote(self, *, num_tokens: int, after_s: float | None) -> None:
        """More tokens, each so long after the one before; the first have none before."""
        ...

    def ended(self, *, reason: str) -> None:
        """`reason` is why it writes no more: stop, length, or what went wrong."""
        ...
