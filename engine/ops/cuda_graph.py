"""Captures a forward as a CUDA graph and replays it: no Python and no launches in between.

Knows nothing of the forward, except that it reads its inputs at fixed addresses, and says which
positions cannot be read so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

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

        Raises CaptureFailed, OutOfMemoryError, and what `run` raises before the capture.
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
            # what reads adapters beside the loop may use the device meanwhile
            with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
                answer = run()
        except RuntimeError as error:
            # a capture that failed leaves the device well; where it is lost, this raises
            torch.cuda.synchronize()
            if isinstance(error, torch.OutOfMemoryError):  # later there may be memory
                raise
            raise CaptureFailed(str(error)) from error

        def replay() -> Tensor:
            graph.replay()
            return answer

        return replay


def follows_length(config: Any) -> bool:
    """Whether rotary positions change with the longest row, which a graph cannot follow."""
    rope_parameters = getattr(config, "rope_parameters", None) or {}
    ropes = [
        rope_parameters,
        *(value for value in rope_parameters.values() if isinstance(value, dict)),
    ]
    return any(rope.get("rope_type") in ("dynamic", "longrope") for rope in ropes)
