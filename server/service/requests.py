"""Requests of the transports to models. Plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.auth.caller import Caller
from server.service.call_barrier import CallBarrier
from server.service.sampling_params import SamplingParams
from server.service.values import Parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """`ref` names a version of a task, or the base. With `barrier`, the rows are queued together
    with those of the other calls at that barrier.
    """

    ref: str
    inputs: Sequence[object]
    parameters: Parameters
    caller: Caller
    barrier: CallBarrier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest(PredictRequest):
    """`num_texts` completions of each input, with seeds that count up from the requested one.

    `format` replaces the prompt format of the model's head. With `streams`, completions come in
    chunks while they are generated.
    """

    num_texts: int = 1
    format: str = ""
    streams: bool = False

    @classmethod
    def from_predict(cls, request: PredictRequest) -> GenerationRequest:
        """One whole completion of each input, with the format of the model's head."""
        return cls(
            ref=request.ref,
            inputs=request.inputs,
            parameters=request.parameters,
            caller=request.caller,
            barrier=request.barrier,
        )

    @property
    def sampling_params(self) -> SamplingParams:
        return self.parameters.sampling_params or SamplingParams()
