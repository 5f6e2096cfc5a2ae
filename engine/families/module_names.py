"""Which of a base's modules a name means, as PEFT has it: targets, rank and alpha patterns.

PEFT reads a pattern's keys as regular expressions. Strangers' expressions are never run: only names
count, whole or their dotted endings. No torch, so that the trainer tells a wrong name at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from engine.errors import BadAdapter, PatternRefused

_NAME = re.compile(r"\w+(?:\.\w+)*", re.ASCII)


def is_name(key: str) -> bool:
    """Whether a key is a module's name or its last parts, rather than an expression."""
    return _NAME.fullmatch(key) is not None


def plain_name(key: str) -> str | None:
    """The name that a key spells, written as an expression or not; None for any other expression.

    PEFT's own examples begin with `^`, and careful people escape the dots.
    """
    name = key.removeprefix("^").removesuffix("$").replace("\\.", ".")
    return name if is_name(name) else None


def is_targeted(site: str, targets: Sequence[str] | None) -> bool:
    """PEFT's rule for a list: equal, or ending in `.target`; None targets every linear."""
    return targets is None or any(
        site == target or site.endswith(f".{target}") for target in targets
    )


def resolve_pattern(name: str, pattern: object, sites: Collection[str]) -> dict[str, int | float]:
    """The value of every site that a key names, the first key first.

    Raises PatternRefused for a key that is an expression, BadAdapter for one that names no site and
    for a value that is no number.
    """
    if not isinstance(pattern, Mapping | None):
        raise BadAdapter(f"{name} is {pattern!r}; it must be an object of names and numbers")
    values: dict[str, int | float] = {}
    for key, value in (pattern or {}).items():
        module = plain_name(str(key))
        if module is None:
            raise PatternRefused(
                f"{name} has the key {str(key)[:80]!r}; expressions are never run, so write the "
                "names of the modules it means in its place, each with its number"
            )
        matched = [site for site in sites if is_targeted(site, [module])]
        # with the stock model's prefix before it
        matched = matched or [site for site in sites if module.endswith(f".{site}")]
        if not matched:
            raise BadAdapter(
                f"{name} names {key!r}, which is no adapted module of this base, such as "
                f"{min(sites, default='none')}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise BadAdapter(f"{name} gives {key!r} the value {value!r}; it must be a number")
        values = dict.fromkeys(matched, value) | values
    return values
