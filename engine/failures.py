"""Which errors are the machine's, which are of what a step was given, and what is told of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from engine.errors import BadAdapter, BadRow, BadTraining, EngineError, OutOfMemory, read_error
from engine.port import Failure, Inspect, Load, OpenTraining, Step

_log = logging.getLogger(__name__)


def is_out_of_memory(error: Exception) -> bool:
    """On a CPU torch says so in words only."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)


def is_device_lost(error: Exception) -> bool:
    """After such an error every call to the device fails; only a new process gets it back."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def row_failure(error: Exception) -> Failure:
    """What is told of a row that could not be computed, not even alone."""
    fault = OutOfMemory if is_out_of_memory(error) else BadRow
    return Failure(code=fault.code, message=f"the base cannot compute this row: {error}")


@contextmanager
def blame_input(what: str) -> Iterator[None]:
    """What the model's code raises of an input is the input's fault, and ends nothing."""
    try:
        yield
    except (IndexError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error) or is_device_lost(error):
            raise
        raise BadTraining(f"the base cannot compute this {what}: {error}") from error


def step_failure(step: Step, error: Exception) -> Failure | None:
    """Of a step that raised what nobody foresaw; None where the engine must end.

    Steps that only read files or settings change nothing before they succeed, so what they were
    given fails alone, whatever it held.
    """
    if is_out_of_memory(error):
        return Failure(code=OutOfMemory.code, message=f"the step does not fit: {error}")
    contained: dict[type[Any], type[EngineError]] = {
        Inspect: BadAdapter, Load: BadAdapter, OpenTraining: BadTraining,
    }  # fmt: skip
    if type(step) not in contained or is_device_lost(error):
        return None
    if isinstance(error, OSError):
        fault = read_error("a file of the step", error)
        return Failure(code=fault.code, message=str(fault))
    name = type(step).__name__
    _log.error("a step failed unexpectedly", exc_info=error, extra={"action": "step.failed"})
    return Failure(
        code=contained[type(step)].code,
        message=f"{name} failed, and why is in the log: what it was given is not what it takes",
    )
