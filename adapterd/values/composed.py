"""One part of a composition, as an answer names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A version whose adapter acted in a composition."""

    task: str
    version: int
    digest: str
    weight: float
