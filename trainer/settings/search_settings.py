"""How a job searches for its settings: how many trials, over which space, and whether poor trials
are stopped early. Knows no adapter kind and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StrictBool

from engine.kind_settings.number_types import Whole

#: no setting is larger, and the width of a range has to be finite, too
_LARGEST = 2.0**31
_RANGE_KEYS = {"low", "high", "log"}


def _read_choices(value: Any) -> list[Any] | dict[str, Any]:
    """Raises ValueError with the rest of a sentence whose subject is the setting."""
    if isinstance(value, list | tuple) and value:
        return list(value)
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= _RANGE_KEYS:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if _is_number(low) and _is_number(high) and low < high and isinstance(log, bool):
            if log and low <= 0:
                raise ValueError(f"is drawn on a log scale from {low!r}; low must be above 0")
            return {"low": low, "high": high, "log": log}
    raise ValueError(f"takes a list of values, or low and high (and log), not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


#: a list of values, or a range {low, high, log}
_Choices = Annotated[list[Any] | dict[str, Any], BeforeValidator(_read_choices)]


class SearchSettings(BaseModel, frozen=True, extra="forbid"):
    """A random search, scored on the dev rows."""

    trials: Whole = Field(default=8, ge=2, le=200, description="settings to try")
    halving: StrictBool = Field(default=True, description="stop poor trials early")
    space: dict[str, _Choices] | None = Field(
        default=None,
        min_length=1,
        description="values to draw from, by setting: a list, or a range {low, high, log}; "
        "default: chosen for the adapter kind and the base",
    )
