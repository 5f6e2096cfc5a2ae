"""Writing text as steps: rows begin, write on together for as long as it takes, and are forgotten.

Plain data, torch-free. `engine.port` gives these names on; everyone imports them from there.
"""

from __future__ import annotations

import msgspec

from engine.results import Failure, Message, Row


class Start(Message, frozen=True, kw_only=True):
    """Place digests into slots and begin to write after each row: answers first tokens.

    `keys` name the rows until they finish, fail or are released; their slots must keep what they
    hold so long. `max_tokens` is how many tokens each may write.
    """

    rows: list[Row]
    keys: list[int]
    max_tokens: list[int]
    place: dict[int, str] = msgspec.field(default_factory=dict)


class Decode(Message, frozen=True, kw_only=True):
    """Let running rows write on, up to `num_tokens` each, all of them in each forward."""

    keys: list[int]
    num_tokens: int = 1


class Release(Message, frozen=True, kw_only=True):
    """Forget running rows, finished or not; unknown keys are no fault."""

    keys: list[int]


class Written(Message, frozen=True, kw_only=True):
    """What a running row wrote in one step; `finish` says why it writes no more.

    It is "" while the row runs on, "stop" after an end token (which is not among `ids`), "length"
    when the row has all the tokens it may have.
    """

    ids: list[int]
    finish: str = ""


class Decoded(Message, frozen=True, kw_only=True):
    """One result per row of the step, in order. A row that failed or finished runs no more."""

    rows: list[Written | Failure]
    forward_s: float
    num_tokens: int
    num_adapters: int
