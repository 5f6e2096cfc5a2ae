"""The types of a setting that is a number, as JSON and gRPC carry numbers: a whole number may
arrive as a double, and neither a string nor a boolean is a number. Knows no setting.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

#: the first whole number that messages and databases cannot hold
_FIRST_TOO_LARGE = 2**63


def read_number(value: Any) -> int | float:
    """Raises ValueError with the rest of a sentence whose subject is the setting."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(f"must be a finite number, not {value!r}")
    return value


def read_whole(value: Any) -> int:
    """A double such as 3.0 is the whole number 3. Raises ValueError like `read_number`."""
    number = read_number(value)
    if number != int(number):
        raise ValueError(f"must be a whole number, not {value!r}")
    if not -_FIRST_TOO_LARGE <= number < _FIRST_TOO_LARGE:
        raise ValueError(f"is {value!r}, which does not fit into 64 bits")
    return int(number)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON has whole numbers that no double holds
        return False


Real = Annotated[float, BeforeValidator(read_number)]
Whole = Annotated[int, BeforeValidator(read_whole)]
