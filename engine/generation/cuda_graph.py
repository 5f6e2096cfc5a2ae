"""A forward recorded once as a CUDA graph and replayed: no Python and no launches in between.

Knows nothing of what is recorded, but that it reads its inputs where they always lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

#: until then libraries may still choose their kernels, which a recording may not
_WARM_RUNS = 2


class CaptureFailed(Exception):
    """A forward does what a recording cannot repeat, such as wait for the device."""


class GraphCapture(Protocol):
    """How a forward becomes one that can be replayed."""

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """`run` may be called several times first; each call must come to the same.

        Raises NotRecordable, and what `run` raises when it is not being recorded.
        """
        ...


class CudaGraphCapture:
    """Recordings of one device.

    They share the memory in between their inputs and outputs, so an answer must be used up before
    another recording is replayed.
    """

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_RUNS):
                run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._memory):
                answer = run()
        except RuntimeError as error:  # memory that ran out is one: launched, the forward may fit
            # a capture that failed leaves the device well; where it is lost, this raises
            torch.cuda.synchronize()
            raise CaptureFailed(str(error)) from error

        def replay() -> Tensor:
            graph.replay()
            return answer

        return replay
