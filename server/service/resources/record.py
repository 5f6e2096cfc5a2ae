"""What is kept, in a registered version's lineage, of how it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.port import Inspected
from server.auth.caller import Caller
from server.service.values import Registration


def record_of(
    registration: Registration, caller: Caller, left_out: Sequence[str], found: Inspected
) -> dict[str, Any]:
    """Who sent it with which note; what was left out or is in doubt only where something is."""
    told = {
        "left_out": list(left_out), "warnings": found.warnings, "other_base": found.other_base,
    }  # fmt: skip
    return {
        "note": registration.note, "key": caller.key_id,
        **{name: value for name, value in told.items() if value},
    }  # fmt: skip
