"""The head settings of a registration, as the caller sent them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from adapters_registry.adapter_files.strict_json import NotStrictJson, parse_object
from engine.heads import HEADS
from server.errors import BadCall
from server.service.values import Registration

_MAX_NOTE = 1000


def head_of(registration: Registration) -> dict[str, Any] | None:
    """The head settings of the caller; None leaves them to the uploaded files."""
    _check_note(registration.note)
    head: dict[str, Any] = {}
    if registration.head:
        head["kind"] = registration.head
    if registration.labels:
        head["labels"] = list(registration.labels)
    if registration.pooling:
        head["pooling"] = registration.pooling
    for name, value in registration.head_settings.items():
        if name in ("kind", *head):
            raise BadCall(f"The head's {name} is set twice.")
        # 1 and 1.0 are the same value and must not result in two digests
        whole = isinstance(value, float) and value.is_integer()
        head[name] = int(value) if whole else value
    _check_names(head)
    _check_values(head)
    return head or None


def _check_note(note: str) -> None:
    """The note is shown with the version, so one that cannot be shown would break every list."""
    if len(note) > _MAX_NOTE:
        raise BadCall(f"The note has {len(note)} characters; at most {_MAX_NOTE} are allowed.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in note if letter not in "\n\t"):
        raise BadCall("The note contains a control character or an unpaired surrogate; remove it.")


def _check_names(head: Mapping[str, Any]) -> None:
    kinds = [HEADS[head["kind"]]] if head.get("kind") in HEADS else list(HEADS.values())
    known = dict.fromkeys(name for kind in kinds for name in kind.settings)
    for name in head:
        if name != "kind" and name not in known:
            raise BadCall(
                f"A {head.get('kind', 'task')} head has no setting {name[:64]!r}; "
                f"it has {', '.join(known)}."
            )


def _check_values(head: Mapping[str, Any]) -> None:
    """Refuses values that a manifest cannot hold, before they reach the engine."""
    try:
        parse_object(json.dumps(head).encode())
    except NotStrictJson as error:
        raise BadCall(f"The head's settings are invalid: {error}.") from None
    except RecursionError:
        raise BadCall("The head's settings are nested too deeply.") from None
