"""Which errors are the machine's and not of what a step was given. Knows no step."""

from __future__ import annotations

import torch

from engine.errors import BadRow, OutOfMemory
from engine.port import Failure


def out_of_memory(error: Exception) -> bool:
    """On a CPU torch says so in words only."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)


def device_lost(error: Exception) -> bool:
    """After such an error every call to the device fails; only a new process gets it back."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def row_failure(error: Exception) -> Failure:
    """What is told of a row that could not be computed, not even alone."""
    fault = OutOfMemory if out_of_memory(error) else BadRow
    return Failure(code=fault.code, message=f"the base cannot compute this row: {error}")
