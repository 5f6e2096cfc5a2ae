"""Checks that strings of a call are text that a database, a path, a header and JSON can hold.

Knows no field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.text.characters import forbidden_character
from server.errors import BadParameter


def check_text(value: Any, param: str) -> None:
    """Raises BadParameter if any string in the value, names of mappings included, contains a NUL or
    an unpaired surrogate.
    """
    if isinstance(value, str):
        if character := forbidden_character(value):
            raise BadParameter(f"{param} contains {character}; remove it.", param=param)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            check_text(name, param)
            check_text(item, f"{param}.{name[:64]}")
    elif isinstance(value, list | tuple):
        for item in value:
            check_text(item, param)
