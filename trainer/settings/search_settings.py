"""How a job searches for its settings: how many trials, of which, and whether poor ones end early.
Knows no kind and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.errors import BadSetting

MAX_TRIALS = 200
#: no setting is larger, and a span's width has to be a number, too
_LARGEST = 2.0**31
_SPAN = {"low", "high", "log"}
_NAMES = ("trials", "halving", "space")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """No space: what the kind and the base suggest. A list is a choice; an object a span of
    numbers, `log` where they are drawn by their size.
    """

    trials: int = 8
    halving: bool = True
    space: dict[str, Any] | None = None

    @classmethod
    def parse(cls, raw: Any) -> SearchSettings:
        """Raises BadSetting."""
        if not isinstance(raw, Mapping):
            raise _bad(f"search must be an object such as {{'trials': 8}}, not {raw!r}")
        for name in raw:
            if name not in _NAMES:
                raise _bad(f"search has no {name!r}; it has {', '.join(_NAMES)}")
        trials, halving = raw.get("trials", 8), raw.get("halving", True)
        if not _is_number(trials) or trials != int(trials) or not 2 <= trials <= MAX_TRIALS:
            raise _bad(
                f"the trials of a search are {trials!r}; it must be a whole number between 2 and "
                f"{MAX_TRIALS}"
            )
        if not isinstance(halving, bool):
            raise _bad(f"the halving of a search must be true or false, not {halving!r}")
        return cls(trials=int(trials), halving=halving, space=_space(raw.get("space")))


def _space(raw: Any) -> dict[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, Mapping) or not raw:
        raise _bad(f"the space of a search must be an object of settings, not {raw!r}")
    return {str(name): _choices(str(name), value) for name, value in raw.items()}


def _choices(name: str, raw: Any) -> list[Any] | dict[str, Any]:
    if isinstance(raw, list | tuple) and raw:
        return list(raw)
    if isinstance(raw, Mapping) and {"low", "high"} <= set(raw) <= _SPAN:
        low, high, log = raw["low"], raw["high"], raw.get("log", False)
        if _is_number(low) and _is_number(high) and low < high and isinstance(log, bool):
            if log and low <= 0:
                raise _bad(f"the search draws {name} by size from {low!r}; that is above 0 only")
            return {"low": low, "high": high, "log": log}
    raise _bad(
        f"the search has {raw!r} for {name}; it takes a list of values, or low and high (and log)"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _bad(sentence: str) -> BadSetting:
    return BadSetting(f"{sentence[0].upper()}{sentence[1:]}.", name="search")
