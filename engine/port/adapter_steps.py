"""Steps that load adapters into the engine's host memory and evict them again.

Plain data, torch-free. `engine.port` re-exports these names; import them from there.
"""

from __future__ import annotations

from typing import Any

from engine.port.messages import File, Message


class Load(Message, frozen=True, kw_only=True):
    """Read a version's files, check them against the base, keep them in host memory as `digest`.

    `semantics` is the manifest's own part as `Inspect` returned it: kind, kind_config, sites, head.
    """

    digest: str
    semantics: dict[str, Any]
    files: list[File]


class Compose(Message, frozen=True, kw_only=True):
    """Hold, as `digest`, the sum of loaded digests, each with a weight, under the head of `first`.

    It takes no memory of its own and goes when one of them goes.
    """

    digest: str
    first: str
    parts: dict[str, float]


class Unload(Message, frozen=True, kw_only=True):
    """Drop a digest from host memory and from any slot."""

    digest: str


class Inspect(Message, frozen=True, kw_only=True):
    """Check a staged adapter directory against this base and say what it is; loads nothing.

    `head` overrides or completes what the directory says of its head:
    its kind, labels, pooling and the kind's other settings. `other_base` serves it although its
    files name another base.
    """

    directory: str
    head: dict[str, Any] | None = None
    other_base: bool = False
