"""Converts errors of the packages' trees to plain data and back, so that a child's error is raised
in its parent.

No pickle: a process that reads untrusted files may have been taken over by one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from adapters_registry.errors import RegistryError
from engine.errors import EngineError
from trainer.errors import TrainerError

_ROOTS: tuple[type[Exception], ...] = (RegistryError, EngineError, TrainerError)


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An error of a tree: its class by name, its sentence, and its facts."""

    name: str
    message: str
    facts: dict[str, Any]


def error_record(error: Exception) -> ErrorRecord | None:
    """None for an error of no tree, which is a bug and nothing to answer with."""
    if not isinstance(error, _ROOTS):
        return None
    return ErrorRecord(name=type(error).__name__, message=str(error), facts=vars(error))


def error_of(record: ErrorRecord) -> Exception:
    """The same error again. Raises LookupError for a name that no tree has."""
    kinds = {kind.__name__: kind for root in _ROOTS for kind in _family(root)}
    kind = kinds[record.name]
    error = kind.__new__(kind)
    error.args = (record.message,)
    vars(error).update(record.facts)
    return error


def _family(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _family(child))]
