"""Reading the parameters of a predict call, the same for both transports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import BadCall
from server.service.values import Parameters


def parameters_of(given: Mapping[str, Any]) -> Parameters:
    """Parameters by name, as either transport got them.

    Raises BadCall for an unknown name or another type.
    """
    for name, value in given.items():
        if name not in ("raw_scores", "truncate"):
            raise BadCall(
                f"There is no parameter {name[:64]!r}; there are raw_scores and truncate."
            )
        if not isinstance(value, bool):
            raise BadCall(f"The parameter {name} must be true or false.")
    return Parameters(**given)
