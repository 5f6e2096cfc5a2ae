"""From a ref to who answers it: a task's version, or the base under its own id and under `base`.

A tenant's task comes before the base where both have the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters_registry.errors import BadName, NotFound
from adapters_registry.values import Version
from engine.heads.embed import EmbedHead
from engine.heads.generate import GenerationHead
from engine.port import EngineInfo
from server.errors import BadCall
from server.service.resolved_model import ResolvedModel
from server.service.values import Part

#: the name of every server's base
BASE = "base"


class ModelResolver:
    """Over the registry and kind the engine says of its base."""

    def __init__(self, resolve: Callable[[str, str], Version], info: EngineInfo) -> None:
        self._resolve, self._info = resolve, info

    def resolve(self, tenant: str, ref: str) -> ResolvedModel:
        """The base writes where it can, and else embeds."""
        try:
            return ResolvedModel.of(self._resolve(tenant, ref))
        except (BadName, NotFound):
            if not self.names_base(ref):
                raise
            return self._generating_base(ref) if self._base_generates else self._embedding_base(ref)

    def resolve_generator(self, tenant: str, ref: str) -> ResolvedModel:
        """Raises BadCall for kind writes no text."""
        model = self.resolve(tenant, ref)
        if not model.generates:
            kind = model.kind if model.version else "an encoder"
            raise BadCall(f"{ref} is {kind}; it writes no text.")
        return model

    def resolve_embedder(self, tenant: str, ref: str) -> ResolvedModel:
        """Raises BadCall for kind makes no embeddings."""
        model = self.resolve(tenant, ref)
        if model.version is None:
            return self._embedding_base(ref)
        if model.kind != EmbedHead.name:
            raise BadCall(f"{ref} is {model.kind}; it makes no embeddings.")
        return model

    def resolve_parts(self, tenant: str, parts: Sequence[Part]) -> list[tuple[Version, float]]:
        """The versions of a composition, with their weights. Raises UnknownTask and its kin."""
        return [(self._resolve(tenant, part.ref), part.weight) for part in parts]

    def names_base(self, ref: str) -> bool:
        return ref in (self._info.base, BASE)

    @property
    def _base_generates(self) -> bool:
        return GenerationHead.name in self._info.poolings

    def _generating_base(self, name: str) -> ResolvedModel:
        return ResolvedModel.generating_base(self._info, name)

    def _embedding_base(self, name: str) -> ResolvedModel:
        if problem := self._info.embedding.problem:
            raise BadCall(f"The base {self._info.base} makes no embeddings by itself: {problem}.")
        return ResolvedModel.embedding_base(self._info, name)
