"""One blocking question to the engine port: submit, wait, and turn a failure into the error it
names.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

from engine.errors import ERRORS, EngineError
from engine.port import EnginePort, Failure, Result, Step

Answer = TypeVar("Answer")


def call(port: EnginePort, step: Step, answer: type[Answer]) -> Answer:
    """Raises the EngineError that the engine answers with."""
    return await_result(port.submit(step), answer)


def await_result(future: Future[Result], answer: type[Answer]) -> Answer:
    result = future.result()
    if isinstance(result, Failure):
        raise error_of(result)
    assert isinstance(result, answer), f"asked for {answer.__name__}, got {type(result).__name__}"
    return result


def error_of(failure: Failure) -> EngineError:
    return ERRORS.get(failure.code, EngineError)(failure.message)
