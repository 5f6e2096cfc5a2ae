"""What a call asks to have written. Plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.auth.caller import Caller
from server.service.call_barrier import CallBarrier
from server.service.sampling_params import SamplingParams
from server.service.target import ResolvedModel
from server.service.values import Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """`num_texts` of each input, with seeds that count up from the one wanted; `form` is how texts
    are read where it is not as the author's head says; `streams`: piece by piece.
    """

    author: ResolvedModel
    inputs: Sequence[object]
    parameters: Parameters
    caller: Caller
    deadline: float
    num_texts: int = 1
    form: str = ""
    together: CallBarrier | None = None
    streams: bool = False

    @property
    def wanted(self) -> SamplingParams:
        return self.parameters.wanted or SamplingParams()

    @property
    def max_tokens(self) -> int:
        """A call may ask for less than its author writes, not for more."""
        most: int = self.author.head["max_tokens"]
        return min(self.parameters.max_tokens or most, most)
