"""Tells errors of the machine from errors of a step's input, and makes failures of them."""

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
    """On a CPU, torch raises a plain RuntimeError whose message says so."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)


def is_device_lost(error: Exception) -> bool:
    """After such an error every call to the device fails until the process is replaced."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def row_failure(error: Exception) -> Failure:
    """The failure of a row that cannot be computed even in a forward of its own."""
    fault = OutOfMemory if is_out_of_memory(error) else BadRow
    return Failure(code=fault.code, message=f"the base cannot compute this row: {error}")


@contextmanager
def blame_input(what: str) -> Iterator[None]:
    """Turn what the model's code raises for an input into BadTraining, so that the engine goes on
    unless its memory or device failed.
    """
    try:
        yield
    except (IndexError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error) or is_device_lost(error):
            raise
        raise BadTraining(f"the base cannot compute this {what}: {error}") from error


def step_failure(step: Step, error: Exception) -> Failure | None:
    """The failure of a step that raised an unexpected error; None where the engine must end.

    A step that only reads files or settings changes no state before it succeeds, so the step fails
    and the engine goes on.
    """
    if is_out_of_memory(error):
        return Failure(code=OutOfMemory.code, message=f"the step needs too much memory: {error}")
    contained: dict[type[Any], type[EngineError]] = {
        Inspect: BadAdapter,
        Load: BadAdapter,
        OpenTraining: BadTraining,
    }
    if type(step) not in contained or is_device_lost(error):
        return None
    if isinstance(error, OSError):
        fault = read_error("a file of the step", error)
        return Failure(code=fault.code, message=str(fault))
    name = type(step).__name__
    _log.error("a step failed unexpectedly", exc_info=error, extra={"action": "step.failed"})
    return Failure(
        code=contained[type(step)].code,
        message=f"{name} failed on its input; the server's log has the details",
    )
