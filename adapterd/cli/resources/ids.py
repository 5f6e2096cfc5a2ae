"""Ids on the command line: any start of an id that only one thing has. Knows no command."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from adapterd.errors import NotFound, Refused

if TYPE_CHECKING:
    from adapterd.client.client import Client
    from adapterd.values import File

_WHOLE = re.compile(r"[a-z]+-[0-9a-f]{32}")
_MAX_NAMED = 5


class Identified(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str: ...


def find_job(client: Client, start: str) -> str:
    """The id of the one job whose id begins so. Raises NotFound or Refused."""
    prefix = _complete("job", start)
    return prefix if _WHOLE.fullmatch(prefix) else _only("job", prefix, client.jobs(prefix))


def find_file(client: Client, text: str) -> File:
    """The stored file with this name or id, or the one whose id begins so."""
    if not text.startswith("file-"):
        named = next(client.files(name=text), None)
        if named is not None:
            return named
    prefix = _complete("file", text)
    candidates = client.files(id_prefix=prefix)
    return client.dataset(prefix if _WHOLE.fullmatch(prefix) else _only("file", prefix, candidates))


def _complete(noun: str, start: str) -> str:
    """`f52c` for `job-f52c`."""
    return start if start.startswith(f"{noun}-") else f"{noun}-{start}"


def _only(noun: str, prefix: str, candidates: Iterable[Identified]) -> str:
    ids = [each.id for each in islice(candidates, _MAX_NAMED + 1)]
    if not ids:
        raise NotFound(
            f"There is no {noun} with an id that begins with {prefix!r}"
            f"{' or of that name' if noun == 'file' else ''}; `adapterd {noun}s list` lists them.",
            problem=f"unknown_{noun}",
        )
    if len(ids) > 1:
        more = " and more" if len(ids) > _MAX_NAMED else ""
        raise Refused(
            f"Several {noun}s have an id that begins with {prefix!r}: "
            f"{', '.join(ids[:_MAX_NAMED])}{more}. Pass more of the id.",
            problem="ambiguous_id",
        )
    return ids[0]
