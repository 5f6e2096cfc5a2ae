"""Who writes: a version of a task, or the base by itself. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters_registry.values import Version
from engine.heads.generate import GenerateHead
from engine.port import EngineInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """`version` is none for the bare base, whose fingerprint is then the digest."""

    name: str
    digest: str
    head: Mapping[str, Any]
    version: Version | None = None

    @classmethod
    def of(cls, version: Version) -> Author:
        return cls(
            name=version.task,
            digest=version.digest,
            head=version.manifest.semantics["head"],
            version=version,
        )

    @classmethod
    def bare(cls, info: EngineInfo) -> Author:
        """It writes as much as it can read, or half of what all texts together may hold: the other
        half is for the prompt, and a call that names no length is not refused for want of memory.
        """
        held = info.num_blocks * info.block_tokens // 2 or info.max_tokens
        most = max(1, min(info.max_tokens, held))
        head = GenerateHead().check({"kind": GenerateHead.name}) | {"max_tokens": most}
        return cls(name=info.base, digest=info.fingerprint, head=head)

    @property
    def label(self) -> str:
        """What the metrics call the adapter; the base has none."""
        return self.version.task if self.version else ""

    @property
    def number(self) -> int:
        return self.version.number if self.version else 0
