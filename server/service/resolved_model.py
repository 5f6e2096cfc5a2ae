"""The model that answers a call: a version of a task, or the bare base. Plain values."""

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
    """`version` is None for the bare base; the digest is then its fingerprint."""

    name: str
    digest: str
    head: Mapping[str, Any]
    version: Version | None = None
    #: the longest text, if shorter than the base's context length
    max_tokens: int | None = None
    #: the prefix of a text by purpose; "" for texts without a purpose
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
        """The base as a generator. `max_tokens` defaults to its context length or half of the KV
        cache, so that a call without a length is not refused for lack of memory.
        """
        half_cache = info.num_blocks * info.block_tokens // 2 or info.max_tokens
        most = max(1, min(info.max_tokens, half_cache))
        head = GenerationHead().check({"kind": GenerationHead.name}) | {"max_tokens": most}
        return cls(name=name, digest=info.fingerprint, head=head)

    @classmethod
    def embedding_base(cls, info: EngineInfo, name: str) -> ResolvedModel:
        """The base as sentence-transformers would embed with its files."""
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
        """Whether the generation loop decodes it; other models are predicted in batches."""
        return is_generation(self.kind)

    @property
    def kind(self) -> str:
        """The kind of its head."""
        return str(self.head["kind"])

    @property
    def pooling(self) -> str | None:
        """How hidden states of the bare base are pooled; None for a version, which has a head."""
        return None if self.version else self.head.get("pooling")

    @property
    def label(self) -> str:
        """The adapter's name in metrics; "" for the base."""
        return self.version.task if self.version else ""

    @property
    def number(self) -> int:
        return self.version.number if self.version else 0
