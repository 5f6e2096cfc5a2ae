"""How an entry's row is to be written. Knows no engine and no loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.port import Sampling, SequenceOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParams:
    """Comes with an entry of one row that writes."""

    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    #: what rows may share that begin alike: the tenant, so that nothing crosses tenants
    salt: str = ""
    #: hears what each step wrote; True from it ends the text there and then
    hear: Callable[[SequenceOutput], bool] | None = None
