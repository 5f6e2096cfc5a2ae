"""Texts by task, or by the base itself: read the prompts, hold the weights, let the rows write.

The same for every transport, whole or piece by piece.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from msgspec import structs

from adapters_registry.values import Version
from engine.grammar.sandbox import GrammarSandbox
from engine.port import EngineInfo, Sampling
from engine.text.tokenizer import Tokenizer
from server.auth.caller import Caller
from server.dispatch.generation_loop import GenerationLoop
from server.dispatch.leases import Leases
from server.errors import DeadlinePassed
from server.limits import CallLimits
from server.pools.work_pool import WorkPool
from server.service.answers import check_compose
from server.service.generate.call import GenerationCall
from server.service.generate.entries import GenerationEntries
from server.service.generate.opened import Opened
from server.service.generate.prompts import PromptReader
from server.service.generate.request import GenerationRequest
from server.service.generate.token_texts import TokenTexts
from server.service.inputs.token_ids import TokenIds
from server.service.inputs.tokenization import Outputs, TextRow
from server.service.predict_observer import PredictObserver
from server.service.sampling_params import SamplingParams, check_sampling_params
from server.service.target import ResolvedModel
from server.service.targets import ModelResolver
from server.service.task_timer import TaskTimer
from server.service.values import RowError


class GenerateService:
    """Opens calls that write."""

    def __init__(
        self,
        *,
        authors: ModelResolver,
        info: EngineInfo,
        tokenizer: Tokenizer,
        prompts: PromptReader,
        leases: Leases,
        writer: GenerationLoop,
        limits: CallLimits,
        observer: PredictObserver,
        draw: Callable[[], int],
        grammars: WorkPool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authors, self._prompts = authors, prompts
        self._tokenizer, self._texts = tokenizer, TokenTexts(tokenizer)
        self._grammars, self._pool = GrammarSandbox(info.tokenizer_json, info.end_ids), grammars
        self._leases, self._writer, self._limits = leases, writer, limits
        self._observer, self._draw, self._clock = observer, draw, clock

    def author(self, tenant: str, ref: str) -> ResolvedModel:
        """A version that writes, or the base. Raises BadCall for what writes no text."""
        return self._authors.writing(tenant, ref)

    def timer(self, author: ResolvedModel, caller: Caller) -> TaskTimer:
        """Of a call that starts now."""
        return TaskTimer(self._observer, caller.tenant, author.name, self._clock)

    def deadline(self, caller: Caller) -> float:
        latest = self._clock() + self._limits.timeout_s
        return latest if caller.deadline is None else min(latest, caller.deadline)

    def text_of(self, prompt: TokenIds) -> str:
        """Raises BadRow for a token that the vocabulary lacks."""
        return self._tokenizer.text(prompt.known(self._tokenizer.knows))

    async def open(self, order: GenerationRequest) -> Opened:
        """Read, admitted, and waiting to write. Raises what refuses the call as a whole."""
        try:
            async with asyncio.timeout_at(order.deadline):
                return await self._open(order)
        except TimeoutError:
            raise DeadlinePassed from None

    async def _open(self, order: GenerationRequest) -> Opened:
        self._limits.check(len(order.inputs) * order.num_texts)
        check_compose(order.author, order.parameters)
        sampling = await self._sampling(order.wanted, order.caller.tenant)
        head = {**order.author.head, "format": order.form or order.author.head["format"]}
        outputs: Outputs = [None] * len(order.inputs)
        rows = await self._prompts.read(order.inputs, head, outputs, order.caller.tenant)
        tokenized_at, tenant = self._clock(), order.caller.tenant
        parts = [(self._authors.version(tenant, p.ref), p.weight) for p in order.parameters.compose]
        call = self._call(order, rows, sampling, parts) if rows else None
        if call is not None:
            await call.start()
        self._observer.predicted(
            tenant=tenant, task=order.author.name, num_inputs=len(order.inputs),
            num_tokens=sum(row.encoding.num_tokens for row in rows),
        )  # fmt: skip
        return Opened(
            rows=rows,
            errors={i: error for i, error in enumerate(outputs) if isinstance(error, RowError)},
            call=call,
            parts=parts,
            tokenized_at=tokenized_at,
        )

    async def _sampling(self, wanted: SamplingParams, tenant: str) -> Sampling:
        """Checked against the vocabulary. Who asks for no seed gets another text each time."""
        sampling = wanted.sampling
        if sampling.grammar:  # it is tried in another process first
            await self._pool.run(tenant, self._check, wanted)
        elif sampling != Sampling():
            self._check(wanted)
        if wanted.seed is None and sampling.temperature:
            sampling = structs.replace(sampling, seed=self._draw())
        return sampling

    def _check(self, wanted: SamplingParams) -> None:
        check_sampling_params(wanted, self._tokenizer.num_words, self._grammars.check)

    def _call(
        self,
        order: GenerationRequest,
        rows: Sequence[TextRow],
        sampling: Sampling,
        parts: Sequence[tuple[Version, float]],
    ) -> GenerationCall:
        rows_to_write = GenerationEntries(
            order=order, prompts=[row.encoding.ids for row in rows], sampling=sampling,
            parts=parts, leases=self._leases, tokenizer=self._tokenizer, texts=self._texts,
            clock=self._clock,
        )  # fmt: skip
        return GenerationCall(
            writer=self._writer, rows=rows_to_write, deadline=order.deadline,
            streams=order.streams,
        )  # fmt: skip
