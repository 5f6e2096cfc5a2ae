"""Written texts as the client gives them back, whole and piece by piece. Knows no wire format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why one input has no answer."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenToken:
    """A token, the logarithm of its probability, and the likeliest tokens at its place."""

    token: str
    logprob: float
    top: tuple[WrittenToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenText:
    """What was written. `finish_reason` is stop or length; `value` is the number in it, if the task
    reads one; `tokens` are there where logprobs were asked for.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    value: float | None = None
    tokens: tuple[WrittenToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """More of the text of the input of that number. The last one of an input says why it ends, and
    counts tokens; or it holds an error.
    """

    task: str
    version: int
    digest: str
    input: int
    text: str
    tokens: tuple[WrittenToken, ...] = ()
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    error: RowError | None = None
