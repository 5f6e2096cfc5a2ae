"""Completions by a task or by the bare base: reads the prompts, leases the weights, and queues the
sequences. The same for every transport.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec import structs

from engine.grammar.sandbox import GrammarSandbox
from engine.port import EngineInfo, Sampling
from engine.text.tokenizer import Tokenizer
from server.dispatch.generation_loop import GenerationLoop
from server.errors import DeadlinePassed
from server.limits import CallLimits
from server.observers import PredictObserver
from server.pools.work_pool import WorkPool
from server.service.answers import CallResult, check_compose, completion_output
from server.service.entries import EntryFactory
from server.service.generate.call import GenerationCall
from server.service.generate.detokenizer import TokenTexts
from server.service.generate.prompts import PromptReader
from server.service.inputs.inputs import TokenIds
from server.service.inputs.tokenization import Outputs
from server.service.model_resolver import ModelResolver
from server.service.requests import GenerationRequest
from server.service.resolved_model import ResolvedModel
from server.service.sampling_params import SamplingParams, check_sampling_params
from server.service.task_timer import TaskTimer
from server.service.values import RowError


class GenerateService:
    """Starts generation calls."""

    def __init__(
        self,
        *,
        models: ModelResolver,
        info: EngineInfo,
        tokenizer: Tokenizer,
        prompts: PromptReader,
        entries: EntryFactory,
        loop: GenerationLoop,
        limits: CallLimits,
        observer: PredictObserver,
        draw_seed: Callable[[], int],
        grammars: WorkPool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._prompts, self._entries = models, prompts, entries
        self._tokenizer, self._texts = tokenizer, TokenTexts(tokenizer)
        self._grammars, self._pool = GrammarSandbox(info.tokenizer_json, info.end_ids), grammars
        self._loop, self._limits, self._observer = loop, limits, observer
        self._draw_seed, self._clock = draw_seed, clock

    async def start(self, request: GenerationRequest) -> GenerationCall:
        """A call whose sequences are queued, timed until it is closed.

        Raises BadCall for a model that generates no text, and errors of the whole call.
        """
        caller = request.caller
        model = self._models.resolve_generator(caller.tenant, request.ref)
        timer = TaskTimer(self._observer, caller.tenant, model.name, self._clock)
        deadline = self._limits.deadline(caller, self._clock())
        try:
            async with asyncio.timeout_at(deadline):
                return await self._start(request, model, deadline, timer)
        except TimeoutError:
            timer.end(DeadlinePassed())
            raise DeadlinePassed from None
        except BaseException as error:
            timer.end(error)
            raise

    async def complete(
        self, request: GenerationRequest, model: ResolvedModel, deadline: float
    ) -> CallResult:
        """Whole completions of a resolved model."""
        call = await self._start(request, model, deadline)
        outputs: Outputs = [call.errors.get(i) for i in range(len(request.inputs))]
        for row, completion in zip(call.rows, await call.completions(), strict=True):
            outputs[row.position] = completion_output(completion, model.head)
        return CallResult(
            outputs=outputs,
            rows=call.rows,
            answers=call.answers,
            parts=call.parts,
            tokenized_at=call.tokenized_at,
        )

    def decode_prompt(self, prompt: TokenIds) -> str:
        """Raises BadRow for a token that the vocabulary lacks."""
        return self._tokenizer.text(prompt.check(self._tokenizer.knows))

    async def _start(
        self,
        request: GenerationRequest,
        model: ResolvedModel,
        deadline: float,
        timer: TaskTimer | None = None,
    ) -> GenerationCall:
        tenant, num_inputs = request.caller.tenant, len(request.inputs)
        self._limits.check(num_inputs * request.num_texts)
        check_compose(model, request.parameters)
        sampling = await self._sampling(request.sampling_params, tenant)
        head = {**model.head, "format": request.format or model.head["format"]}
        outputs: Outputs = [None] * num_inputs
        rows = await self._prompts.read(request.inputs, head, outputs, tenant)
        tokenized_at = self._clock()
        call = GenerationCall(
            request=request,
            model=model,
            rows=rows,
            errors={i: error for i, error in enumerate(outputs) if isinstance(error, RowError)},
            parts=self._models.resolve_parts(tenant, request.parameters.compose),
            sampling=sampling,
            deadline=deadline,
            tokenized_at=tokenized_at,
            loop=self._loop,
            entries=self._entries,
            tokenizer=self._tokenizer,
            texts=self._texts,
            timer=timer,
        )
        await call.admit()
        self._observer.observe_predict(
            tenant=tenant,
            task=model.name,
            num_inputs=num_inputs,
            num_tokens=sum(row.encoding.num_tokens for row in rows),
        )
        return call

    async def _sampling(self, params: SamplingParams, tenant: str) -> Sampling:
        """Checks the parameters with the vocabulary. A call without a seed gets a random one."""
        sampling = params.sampling
        if sampling.grammar:  # it is tested in another process first
            await self._pool.run(tenant, self._check, params)
        elif sampling != Sampling():
            self._check(params)
        if params.seed is None and sampling.temperature:
            sampling = structs.replace(sampling, seed=self._draw_seed())
        return sampling

    def _check(self, params: SamplingParams) -> None:
        check_sampling_params(params, self._tokenizer.num_words, self._grammars.check)
