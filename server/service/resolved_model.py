"""Who answers: a version of a task, or the base by itself. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters_registry.values import Version
from engine.heads import is_generation
from engine.heads.embed import EmbedHead
from engine.heads.generate import GenerationHead
from engine.port import EngineInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """`version` is none for the bare base, whose fingerprint is then the digest."""

    name: str
    digest: str
    head: Mapping[str, Any]
    version: Version | None = None
    #: the longest text, where that is shorter than what the base reads
    max_tokens: int | None = None
    #: what is put before a text, by the name of its purpose; "" for texts without one
    prompts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, version: Version) -> ResolvedModel:
        return cls(
            name=version.task,
            digest=version.digest,
            head=version.manifest.semantics["head"],
            version=version,
        )

    @classmethod
    def generating_base(cls, info: EngineInfo, name: str) -> ResolvedModel:
        """It writes as much as it can read, or half of what all texts together may hold: the other
        half is for the prompt, and a call that names no length is not refused for want of memory.
        """
        held = info.num_blocks * info.block_tokens // 2 or info.max_tokens
        most = max(1, min(info.max_tokens, held))
        head = GenerationHead().check({"kind": GenerationHead.name}) | {"max_tokens": most}
        return cls(name=name, digest=info.fingerprint, head=head)

    @classmethod
    def embedding_base(cls, info: EngineInfo, name: str) -> ResolvedModel:
        """It embeds as sentence-transformers would with the files beside it."""
        own = info.embedding
        head = EmbedHead().check(
            {"kind": EmbedHead.name, "pooling": own.pooling, "normalize": own.normalize}
        )
        return cls(
            name=name,
            digest=info.fingerprint,
            head=head,
            max_tokens=own.max_tokens,
            prompts={**own.prompts, "": own.default_prompt},
        )

    @property
    def generates(self) -> bool:
        """Whether it generates text, which the generation loop decodes; others are predicted."""
        return is_generation(self.kind)

    @property
    def kind(self) -> str:
        """The kind of its head."""
        return str(self.head["kind"])

    @property
    def pooling(self) -> str | None:
        """How the bare base's hidden states become its answer; a version's head does it itself."""
        return None if self.version else self.head.get("pooling")

    @property
    def label(self) -> str:
        """What the metrics call the adapter; the base has none."""
        return self.version.task if self.version else ""

    @property
    def number(self) -> int:
        return self.version.number if self.version else 0
