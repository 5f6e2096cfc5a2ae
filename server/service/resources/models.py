"""The models that a tenant can name: the base, and its tasks, versions and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters_registry.errors import BadName, NotFound
from adapters_registry.ref import PRODUCTION
from adapters_registry.registry import Registry
from adapters_registry.values import Task, Version
from engine.port import EngineInfo
from server.auth.caller import Caller
from server.pools.work_pool import WorkPool
from server.service.model_resolver import BASE
from server.service.page import MAX_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """`root` is the digest that the ref resolves to now; the base has no `parent`."""

    ref: str
    root: str
    parent: str | None
    created_at: float
    max_tokens: int


class ModelService:
    """Calls the registry in threads, because its methods block."""

    def __init__(
        self, registry: Registry, info: EngineInfo, started_at: float, lookups: WorkPool
    ) -> None:
        self._registry, self._info, self._started_at = registry, info, started_at
        self._lookups = lookups

    async def list(self, caller: Caller) -> Sequence[ModelView]:
        """The base, and every ref that this server can answer."""
        return await self._lookups.run(
            caller.tenant, lambda: [self._base(), *self._all(caller.tenant)]
        )

    async def get(self, caller: Caller, ref: str) -> ModelView:
        """The model of a ref: a version, or the base if no task has its name."""
        try:
            version = await self._lookups.run_for(caller.tenant, self._registry.resolve, ref)
        except (BadName, NotFound):
            if ref not in (self._info.base, BASE):
                raise
            return self._base()
        return self._view(ref, version)

    def _all(self, tenant: str) -> Iterator[ModelView]:
        after: str | None = None
        while tasks := self._registry.tasks(tenant, after, MAX_LIMIT):
            for task in tasks:
                yield from self._of(task)
            after = tasks[-1].name

    def _of(self, task: Task) -> Iterator[ModelView]:
        try:
            all_versions = self._registry.versions(task.tenant, task.name)
        except NotFound:  # deleted in the meantime
            return
        versions = {version.number: version for version in all_versions if self._serves(version)}
        for alias in task.aliases:
            if alias.version in versions:
                if alias.name == PRODUCTION:
                    yield self._view(task.name, versions[alias.version])
                yield self._view(f"{task.name}@{alias.name}", versions[alias.version])
        for number, version in versions.items():
            yield self._view(f"{task.name}@{number}", version)

    def _serves(self, version: Version) -> bool:
        """Whether it was made for the base of this server: another one's would not be answered."""
        return bool(version.manifest.base["fingerprint"] == self._info.fingerprint)

    def _view(self, ref: str, version: Version) -> ModelView:
        return ModelView(
            ref=ref,
            root=version.digest,
            parent=self._info.base if self._serves(version) else version.manifest.base["name"],
            created_at=version.created_at,
            max_tokens=self._info.max_tokens,
        )

    def _base(self) -> ModelView:
        info = self._info
        return ModelView(
            ref=info.base,
            root=info.fingerprint,
            parent=None,
            created_at=self._started_at,
            max_tokens=info.max_tokens,
        )
