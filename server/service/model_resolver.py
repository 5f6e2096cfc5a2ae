"""Resolves a ref to the model that answers it: a version of a task, or the base.

The base is named by its own id or by `base`; a tenant's task of the same name comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters_registry.errors import BadName, NotFound
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.heads.embed import EmbedHead
from engine.heads.generate import GenerationHead
from engine.port import EngineInfo
from server.errors import BadCall
from server.pools.work_pool import WorkPool
from server.service.resolved_model import ResolvedModel
from server.service.values import Part

#: the name of every server's base
BASE = "base"


class ModelResolver:
    """Over the registry and what the engine says of its base. What the registry remembers is
    answered at once; the database is asked in a thread.
    """

    def __init__(self, registry: Registry, lookups: WorkPool, info: EngineInfo) -> None:
        self._registry, self._lookups, self._info = registry, lookups, info

    async def resolve(self, tenant: str, ref: str) -> ResolvedModel:
        """The base generates text if it can; otherwise it embeds."""
        try:
            return ResolvedModel.of(await self._version(tenant, ref))
        except (BadName, NotFound):
            if not self.names_base(ref):
                raise
            return self._generating_base(ref) if self._base_generates else self._embedding_base(ref)

    async def resolve_generator(self, tenant: str, ref: str) -> ResolvedModel:
        """Raises BadCall for a model that generates no text."""
        model = await self.resolve(tenant, ref)
        if not model.generates:
            if model.version is None:
                raise BadCall(f"The base {ref} is an encoder, which produces no text.")
            raise BadCall(
                f"{ref} has the head {model.kind}; only tasks with the head generate produce text."
            )
        return model

    async def resolve_embedder(self, tenant: str, ref: str) -> ResolvedModel:
        """Raises BadCall for a model that makes no embeddings."""
        model = await self.resolve(tenant, ref)
        if model.version is None:
            return self._embedding_base(ref)
        if model.kind != EmbedHead.name:
            raise BadCall(
                f"{ref} has the head {model.kind}; "
                "only tasks with the head embed produce embeddings."
            )
        return model

    async def resolve_parts(
        self, tenant: str, parts: Sequence[Part]
    ) -> list[tuple[Version, float]]:
        """The versions of a composition, with their weights. Raises NotFound."""
        return [(await self._version(tenant, part.ref), part.weight) for part in parts]

    def names_base(self, ref: str) -> bool:
        return ref in (self._info.base, BASE)

    async def _version(self, tenant: str, ref: str) -> Version:
        if (version := self._registry.recall(tenant, ref)) is not None:
            return version
        return await self._lookups.run_for(tenant, self._registry.resolve, ref)

    @property
    def _base_generates(self) -> bool:
        return GenerationHead.name in self._info.poolings

    def _generating_base(self, name: str) -> ResolvedModel:
        return ResolvedModel.generating_base(self._info, name)

    def _embedding_base(self, name: str) -> ResolvedModel:
        if problem := self._info.embedding.problem:
            base = self._info.base
            raise BadCall(f"The base {base} produces no embeddings by itself: {problem}.")
        return ResolvedModel.embedding_base(self._info, name)
