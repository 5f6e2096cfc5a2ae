"""The table of heads.

A new head is one file here and one line in `HEADS`; siblings do not know each other.
Torch-free, but inside the methods that train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import BadAdapter
from engine.heads.classify import ClassifyHead
from engine.heads.embed import EmbedHead
from engine.heads.generate import GenerateHead
from engine.heads.head_kind import HeadKind
from engine.heads.regress import RegressHead
from engine.heads.rerank import RerankHead
from engine.heads.span import SpanHead
from engine.heads.tag import TagHead

HEADS: dict[str, HeadKind] = {
    head.name: head
    for head in (
        ClassifyHead(),
        TagHead(),
        RegressHead(),
        SpanHead(),
        EmbedHead(),
        RerankHead(),
        GenerateHead(),
    )
}


def head_kind(head: Mapping[str, Any]) -> HeadKind:
    """The kind a head's settings name; raises BadAdapter with the list of known kinds."""
    name = head.get("kind")
    if not isinstance(name, str) or name not in HEADS:
        raise BadAdapter(f"the head is {name!r}; this engine knows {', '.join(HEADS)}")
    return HEADS[name]


__all__ = ["HEADS", "HeadKind", "head_kind"]
