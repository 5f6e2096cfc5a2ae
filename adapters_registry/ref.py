"""The grammar of names, and the ref a caller uses: `task`, `task@7`, `task@canary`.

Tenants never appear in a ref.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters_registry.errors import BadName

PRODUCTION = "production"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def check_name(name: str, noun: str = "task") -> str:
    """The name itself, or BadName. Only a clipped repr is echoed: names come from anywhere."""
    if NAME.fullmatch(name) is None:
        raise BadName(
            f"{name[:64]!r} is no {noun} name: use 1 to 64 lower-case letters, digits, '.', '_' "
            "and '-', with a letter or digit first and last",
            noun=noun,
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """What a caller names.

    At most one of `version` and `alias` is set; neither means the production alias.
    """

    task: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Ref:
        task, at, rest = text.partition("@")
        check_name(task)
        if not at:
            return cls(task=task)
        # An all-digit suffix is always a number, so an alias can never shadow a version.
        if rest[:1].isdigit() and rest.isdigit():
            return cls(task=task, version=_number(rest))
        return cls(task=task, alias=check_alias(rest))

    def __str__(self) -> str:
        suffix = self.version if self.version is not None else self.alias
        return self.task if suffix is None else f"{self.task}@{suffix}"


def check_alias(name: str) -> str:
    """An alias name: the common grammar, and not a number, which would read as a version."""
    if name.isdigit():
        raise BadName(f"alias name {name[:64]!r} would read as a version number", noun="alias")
    return check_name(name, "alias")


def _number(digits: str) -> int:
    if _NUMBER.fullmatch(digits) is None:
        raise BadName(
            f"version {digits[:64]!r} must be a number from 1 to 999999999", noun="version"
        )
    return int(digits)
