"""Continuous batching of generation: rows start, prefill their prompts and decode together, and
stay between steps.

Owns the state of running rows. How they are computed and cached is left to a `SequenceRunner`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.adapters.resident import AdapterCache, Placed
from engine.errors import BadRow, EngineError, NotLoaded
from engine.failures import is_device_lost, row_failure
from engine.forward.predict import check_rows
from engine.generation.sampling import RowSampler, sample_tokens
from engine.generation.sequence import ScheduledChunk, SequenceRunner, SequenceState
from engine.grammar import Grammars
from engine.model.base import Base
from engine.port import (
    Failure,
    Generate,
    Generated,
    Row,
    SequenceOutput,
    StartSequence,
    TokenLogprob,
)


@dataclass(slots=True, kw_only=True)
class _RowOutput:
    """The tokens that one row generates in a step, or its failure."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_cached: int = 0
    finish: str = ""
    failure: Failure | None = None

    @property
    def answer(self) -> SequenceOutput | Failure:
        return self.failure or SequenceOutput(
            ids=self.ids, finish=self.finish, logprobs=self.logprobs, num_cached=self.num_cached
        )


class Generation:
    """All running rows, by key. Rows of different adapters share each forward."""

    def __init__(self, base: Base, runner: SequenceRunner) -> None:
        self._base, self._runner = base, runner
        self._grammars = Grammars(base.tokenizer_json, base.end_ids)
        self._rows: dict[int, SequenceState] = {}
        self._num_started = 0

    @property
    def keys(self) -> list[int]:
        return sorted(self._rows)

    @property
    def num_blocks(self) -> int:
        return self._runner.num_blocks

    @property
    def used_blocks(self) -> int:
        return self._runner.used_blocks

    def generate(
        self, step: Generate, placed: Mapping[int, Placed], resident: AdapterCache
    ) -> Generated:
        """`placed` holds the adapters in the slots of the rows that start."""
        started = time.perf_counter()
        outputs: dict[int, _RowOutput] = {}
        answers = [self._continue_row(key, outputs, resident) for key in step.keys]
        answers += [
            self._start_row(begin, outputs, placed, resident.digests) for begin in step.begin
        ]
        scheduled = self._run_forwards(step, outputs)
        return Generated(
            rows=[output.answer for output in answers],
            forward_s=time.perf_counter() - started,
            num_tokens=sum(item.count for item in scheduled),
            num_adapters=len({item.row.slot for item in scheduled} - {0}),
            used_blocks=self.used_blocks,
        )

    def release(self, keys: Sequence[int]) -> None:
        for key in keys:
            if self._rows.pop(key, None) is not None:
                self._runner.forget(key)

    # ------------------------------------------------------------ rows of the step

    def _continue_row(
        self, key: int, outputs: dict[int, _RowOutput], resident: AdapterCache
    ) -> _RowOutput:
        if key not in self._rows:
            return _RowOutput(failure=_failure(NotLoaded, f"no row with the key {key} is running"))
        row = self._rows[key]
        if not resident.holds(row.slot, row.digest, row.placed):
            self.release([key])
            message = f"slot {row.slot} no longer holds what the row began with"
            return _RowOutput(failure=_failure(NotLoaded, message))
        return outputs.setdefault(key, _RowOutput())

    def _start_row(
        self,
        begin: StartSequence,
        outputs: dict[int, _RowOutput],
        placed: Mapping[int, Placed],
        digests: Mapping[int, str],
    ) -> _RowOutput:
        row, own = begin.row, placed.get(begin.row.slot)
        try:
            self._check(begin, own)
            running = SequenceState(
                key=begin.key,
                number=self._num_started,
                slot=row.slot,
                digest=digests.get(row.slot),
                placed=own,
                salt=begin.salt,
                ids=row.ids,
                num_prompt=row.num_tokens,
                max_tokens=min(begin.max_tokens, self._room(row)),
                sampler=self._sampler(begin),
            )
            self._runner.admit(running)
        except BadRow as error:
            return _RowOutput(failure=_failure(BadRow, str(error)))
        self._num_started += 1
        self._rows[begin.key] = running
        return outputs.setdefault(begin.key, _RowOutput())

    def _check(self, begin: StartSequence, placed: Placed | None) -> None:
        if not self._base.can_generate:
            raise BadRow(f"{self._base.name} has no output embeddings, so it cannot generate text")
        if placed is not None and not placed.head.can_generate:
            slot = begin.row.slot
            raise BadRow(f"slot {slot} holds a version whose head does not generate text")
        if (failure := check_rows([begin.row], self._base).get(0)) is not None:
            raise BadRow(failure.message)
        if begin.max_tokens < 1:
            raise BadRow(f"max_tokens is {begin.max_tokens}; a row writes at least 1")
        if begin.key in self._rows:
            raise BadRow(f"a row with the key {begin.key} is running")

    def _room(self, row: Row) -> int:
        """How many tokens may be generated. A decoder's prompt counts towards the base's limit; an
        encoder and decoder has the whole limit for its output.
        """
        is_seq2seq = self._base.family.architecture == "seq2seq"
        return self._base.max_tokens - (0 if is_seq2seq else row.num_tokens - 1)

    def _sampler(self, begin: StartSequence) -> RowSampler:
        return RowSampler(begin.sampling, begin.row.ids, self._base.end_ids, self._grammars)

    # ------------------------------------------------------------ forwards

    def _run_forwards(
        self, step: Generate, outputs: Mapping[int, _RowOutput]
    ) -> list[ScheduledChunk]:
        """Run the forwards of the step; returns all chunks that were computed."""
        executed: list[ScheduledChunk] = []
        for _ in range(step.num_tokens):
            running = [self._rows[key] for key in outputs if key in self._rows]
            groups = self._runner.schedule(running, step.max_tokens) if running else []
            for scheduled in groups:
                self._advance(scheduled, outputs)
                executed += scheduled
            if not groups:
                break
        return executed

    def _advance(
        self, scheduled: Sequence[ScheduledChunk], outputs: Mapping[int, _RowOutput]
    ) -> None:
        """Halves the rows when the model's code raises, so that only the row at fault fails."""
        try:
            answers = self._answers(scheduled)
        except (RuntimeError, ValueError, IndexError) as error:
            if is_device_lost(error):  # no row is to blame, and none would ever go well again
                raise
            if len(scheduled) == 1:
                self._fail(scheduled[0].row, row_failure(error), outputs)
                return
            half = len(scheduled) // 2
            self._advance(scheduled[:half], outputs)
            self._advance(scheduled[half:], outputs)
            return
        for row, token, logprob, failure in answers:
            if failure is not None:
                self._fail(row, failure, outputs)
            else:
                self._append_token(row, token, logprob, outputs[row.key])

    def _answers(
        self, scheduled: Sequence[ScheduledChunk]
    ) -> list[tuple[SequenceState, int, TokenLogprob | None, Failure | None]]:
        logits_WV = self._runner.run(scheduled)
        rows = [item.row for item in scheduled if item.samples_token]
        if not rows:
            return []
        samplers = [row.sampler for row in rows]
        sampled = sample_tokens(logits_WV, samplers, [row.num_generated for row in rows])
        failures = [sampled.failures.get(i) for i in range(len(rows))]
        return list(zip(rows, sampled.tokens, sampled.logprobs, failures, strict=True))

    def _append_token(
        self, row: SequenceState, token: int, logprob: TokenLogprob | None, output: _RowOutput
    ) -> None:
        if row.sampler.ends(token):
            output.finish = "stop"
        else:
            complete = row.sampler.accept(token)
            row.ids.append(token)
            output.ids.append(token)
            output.logprobs += [] if logprob is None else [logprob]
            output.finish = (
                "stop" if complete else "length" if row.num_generated == row.max_tokens else ""
            )
        if row.num_generated <= 1:
            output.num_cached = row.num_cached
        if output.finish:
            self.release([row.key])

    def _fail(
        self, row: SequenceState, failure: Failure, outputs: Mapping[int, _RowOutput]
    ) -> None:
        outputs[row.key].failure = failure
        self.release([row.key])


def _failure(error: type[EngineError], message: str) -> Failure:
    return Failure(code=error.code, message=message)
