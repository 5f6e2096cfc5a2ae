"""Names who did something, as lineages and the audit log have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_actor(actor: Mapping[str, Any]) -> str:
    """In a few words: `key 5f0c`, `operator ann`, `worker w1 for key 5f0c`."""
    if not actor:
        return "unknown"
    kind, name = str(actor["kind"]), str(actor.get("name", ""))
    kinds = {"caller": "key" if name else "a caller without a key", "system": "the platform"}
    words = f"{kinds.get(kind, kind)} {name}".strip()
    owner = actor.get("on_behalf_of")
    return f"{words} for {name_actor(owner)}" if owner else words
