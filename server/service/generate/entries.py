"""The rows of one call that writes: their scripts, and their entries on the way to the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import structs

from adapters_registry.values import Version
from engine.port import Sampling
from engine.text.tokenizer import Tokenizer
from server.dispatch.draft import GenerationParams
from server.dispatch.entry import Entry, RowTokens
from server.dispatch.leases import AnyLease, Leases
from server.service.generate.output import OutputProcessor, Send
from server.service.generate.request import GenerationRequest
from server.service.generate.token_texts import TokenTexts

_SEEDS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEntries:
    """Can be made anew, should the engine be replaced before it saw them."""

    order: GenerationRequest
    #: the tokens that each input became
    prompts: Sequence[list[int]]
    #: as the order wants it, with a seed
    sampling: Sampling
    parts: Sequence[tuple[Version, float]]
    leases: Leases
    tokenizer: Tokenizer
    texts: TokenTexts
    clock: Callable[[], float] = time.monotonic

    def scripts(self, send: Send | None) -> list[OutputProcessor]:
        return [
            OutputProcessor(
                row=row, num_prompt=len(prompt), tokenizer=self.tokenizer, texts=self.texts,
                stop=self.order.wanted.stop, send=send,
            )
            for row, prompt in enumerate(self._prompts())
        ]  # fmt: skip

    async def entries(self, scripts: Sequence[OutputProcessor]) -> list[Entry]:
        lease = await self.leases.of(self.order.author.version, self.parts)
        try:
            if self.order.together is not None:
                await self.order.together.arrive()
            return [
                self._entry(row, prompt, scripts[row], lease)
                for row, prompt in enumerate(self._prompts())
            ]
        finally:
            lease.release()

    def _prompts(self) -> list[list[int]]:
        return [prompt for prompt in self.prompts for _ in range(self.order.num_texts)]

    def _entry(
        self, row: int, prompt: list[int], script: OutputProcessor, lease: AnyLease
    ) -> Entry:
        order = self.order
        seed = (self.sampling.seed + row % order.num_texts + _SEEDS) % (2 * _SEEDS) - _SEEDS
        draft = GenerationParams(
            max_tokens=order.max_tokens,
            sampling=structs.replace(self.sampling, seed=seed),
            salt=order.caller.tenant,
            hear=script.hear if script.listens else None,
        )
        return Entry(
            rows=[RowTokens(prompt, [0] * len(prompt))],
            cost=len(prompt),
            tenant=order.caller.tenant,
            label=order.author.label,
            priority=order.parameters.priority,
            deadline=order.deadline,
            enqueued_at=self.clock(),
            lease=lease.again(),
            draft=draft,
            future=asyncio.get_running_loop().create_future(),
        )
