"""Which strings are text that a tokenizer, a database, a path and JSON can all hold: the one rule
for rows that are trained on and inputs that are answered. Knows no field and no limit of length.
"""

from __future__ import annotations


def forbidden_character(value: str) -> str | None:
    """What a string contains that no text can: `a NUL character` or `an unpaired surrogate`."""
    if "\0" in value:
        return "a NUL character"
    if value.isascii():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return "an unpaired surrogate"
    return None
