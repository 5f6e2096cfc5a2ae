"""How the trainer talks to the engine: blocking calls, and sessions that a job's owner can
interrupt and that end with a restart of the engine. Knows steps and answers; neither rows nor
heads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, TypeVar

from engine.errors import ERRORS, EngineError, EngineGone, NotLoaded
from engine.port import (
    Done,
    EngineInfo,
    EnginePort,
    Failure,
    File,
    Load,
    Loaded,
    Result,
    Step,
    Unload,
)
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer

Answer = TypeVar("Answer")

#: one step runs in the engine while the next already waits there
IN_FLIGHT = 2


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


def _never() -> None:
    """Nobody interrupts."""


class EngineSession:
    """One client's work on one generation of the engine.

    `check` is called between the steps of long work and may raise to end it. What the session holds
    in the engine (slots, loaded adapters) is gone when the engine restarts; it then answers
    EngineGone instead of touching what somebody else holds under the same number.
    """

    def __init__(
        self,
        port: EnginePort,
        check: Callable[[], object] = _never,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """`tokenizer` is the base's; by default it is read when it is first needed."""
        self._port = port
        self._interrupt = check
        self._tokenizer = tokenizer
        self._generation = port.generation

    def with_check(self, check: Callable[[], object]) -> EngineSession:
        """The same session, interrupted by another check."""
        session = EngineSession(self._port, check, self._tokenizer)
        session._generation = self._generation
        return session

    @property
    def info(self) -> EngineInfo:
        return self._port.info

    @cached_property
    def prompter(self) -> Prompter:
        """From texts to prompts of the base, and from generated tokens to text."""
        info = self.info
        tokenizer = self._tokenizer or Tokenizer(info.tokenizer_json, info.max_tokens)
        return Prompter(info, tokenizer)

    @property
    def is_replaced(self) -> bool:
        """Whether the engine restarted since the session began."""
        return self._port.generation != self._generation

    def require_same_engine(self) -> None:
        """Raises EngineGone."""
        if self.is_replaced:
            raise EngineGone

    def check(self) -> None:
        """Raises EngineGone, and whatever ends the work."""
        self.require_same_engine()
        self._interrupt()

    def submit(self, step: Step) -> Future[Result]:
        return self._port.submit(step)

    def call(self, step: Step, answer: type[Answer]) -> Answer:
        """Raises the EngineError that the engine answers with."""
        return call(self._port, step, answer)

    def stream(self, steps: Iterable[Step], answer: type[Answer]) -> Iterator[Answer]:
        """The answers in the order of the steps, with a check before each step. None of them is
        still on its way when the stream ends, however it ends: whoever ends it gives back next what
        the steps use.
        """
        in_flight: deque[Future[Result]] = deque()
        try:
            for step in steps:
                self.check()
                in_flight.append(self.submit(step))
                if len(in_flight) >= IN_FLIGHT:
                    yield await_result(in_flight.popleft(), answer)
            while in_flight:
                yield await_result(in_flight.popleft(), answer)
        finally:
            for future in in_flight:
                future.exception()

    def release(self, step: Step) -> None:
        """Give back what the session holds; nothing is held any more after a restart."""
        if not self.is_replaced:
            with suppress(EngineGone, NotLoaded):
                self.call(step, Done)

    @contextmanager
    def load_adapter(
        self, name: str, semantics: Mapping[str, Any], files: Sequence[File]
    ) -> Iterator[None]:
        """Hold an adapter in host memory under `name`, which must not be the bare digest: the same
        weights may be served already, and must not be unloaded under a caller.
        """
        load = Load(digest=name, semantics=dict(semantics), files=list(files))
        self.call(load, Loaded)
        try:
            yield
        finally:
            self.release(Unload(digest=name))
