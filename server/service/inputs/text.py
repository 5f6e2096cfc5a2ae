"""Which strings of a call are text: what a database, a path, a header and a JSON document hold
alike. Knows no field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import BadParameter


def check_text(value: Any, param: str) -> None:
    """Raises BadParameter where a string in it, however deep, holds a NUL or half of a surrogate
    pair. A string that is the name of something is one in it, too.
    """
    if isinstance(value, str):
        if not is_text(value):
            raise BadParameter(
                f"{param} holds a NUL or half of a surrogate pair, which is not text.", param=param
            )
    elif isinstance(value, Mapping):
        for name, item in value.items():
            check_text(name, param)
            check_text(item, f"{param}.{name[:64]}")
    elif isinstance(value, list | tuple):
        for item in value:
            check_text(item, param)


def is_text(value: str) -> bool:
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
