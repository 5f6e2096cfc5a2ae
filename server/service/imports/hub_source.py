"""The name of an adapter on a hub, as callers write it and as a version records it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from server.errors import BadCall

_PREFIX = "hf:"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_SOURCE = re.compile(rf"hf:(?P<repository>{_PART}/{_PART})(?:@(?P<revision>{_PART}(?:/{_PART})*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DEFAULT = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """`revision` is a commit, or a name that moves: which commit it is now is asked once."""

    repository: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _SOURCE.fullmatch(text)
        if match is None or ".." in text or "--" in match["repository"]:
            raise BadCall(
                f"The source {text[:80]!r} cannot be read; write hf:OWNER/NAME@REVISION, where the "
                "revision is a commit, a tag or a branch."
            )
        return cls(repository=match["repository"], revision=match["revision"] or _DEFAULT)

    def at(self, commit: str) -> str:
        """The name of what was imported, which never changes."""
        return f"{_PREFIX}{self.repository}@{commit}"


def is_commit(text: str) -> bool:
    return _COMMIT.fullmatch(text) is not None
