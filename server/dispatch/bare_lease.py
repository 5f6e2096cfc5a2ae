"""What rows hold that the base answers by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BareLease:
    """A lease on no adapter: slot 0 is always there, on the engine of its generation."""

    generation: int
    digest: str = ""
    num_bytes: int = 0

    def again(self) -> BareLease:
        return self

    def release(self) -> None:
        """There is nothing to give back."""
