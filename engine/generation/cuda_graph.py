"""Captures a forward as a CUDA graph and replays it: no Python and no launches in between.

Knows nothing of the forward, except that it reads its inputs at fixed addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

#: until then libraries may still choose their kernels, which a captured graph may not
_WARM_RUNS = 2


class CaptureFailed(Exception):
    """A forward does what a graph cannot repeat, such as wait for the device."""


class GraphCapture(Protocol):
    """How a forward becomes one that can be replayed."""

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """`run` may be called several times first; every call must give the same result.

        Raises CaptureFailed, and what `run` raises before the capture.
        """
        ...


class CudaGraphCapture:
    """Captures graphs on one device.

    They share the memory between their inputs and outputs, so an answer must be used up before
    another graph is replayed.
    """

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
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
