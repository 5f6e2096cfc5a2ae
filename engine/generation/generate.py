"""Writing: rows begin, read their prompts and write on together, and run on between steps.

Knows who writes and what became of it; how a base reads them on is a reader's business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.adapters.resident import AdapterCache, Placed
from engine.errors import BadRow, EngineError, NotLoaded
from engine.failures import is_device_lost, row_failure
from engine.forward.predict import check_row
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
class _Text:
    """What became of a row in one step."""

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
    """All rows that write, by key. Rows of different adapters share each forward."""

    def __init__(self, base: Base, runner: SequenceRunner) -> None:
        self._base, self._runner = base, runner
        self._grammars = Grammars(base.tokenizer_json, base.end_ids)
        self._rows: dict[int, SequenceState] = {}
        self._num_begun = 0

    @property
    def keys(self) -> list[int]:
        return sorted(self._rows)

    @property
    def num_blocks(self) -> int:
        return self._runner.num_blocks

    @property
    def used_blocks(self) -> int:
        return self._runner.used_blocks

    def write(
        self, step: Generate, placed: Mapping[int, Placed], resident: AdapterCache
    ) -> Generated:
        """`placed` is what the rows that begin find in their slots."""
        started = time.perf_counter()
        texts: dict[int, _Text] = {}
        answers = [self._go_on(key, texts, resident) for key in step.keys]
        answers += [self._begin(begin, texts, placed, resident.digests) for begin in step.begin]
        scheduled = self._forwards(step, texts)
        return Generated(
            rows=[text.answer for text in answers],
            forward_s=time.perf_counter() - started,
            num_tokens=sum(item.count for item in scheduled),
            num_adapters=len({item.row.slot for item in scheduled} - {0}),
            used_blocks=self.used_blocks,
        )

    def release(self, keys: Sequence[int]) -> None:
        for key in keys:
            if self._rows.pop(key, None) is not None:
                self._runner.forget(key)

    # ------------------------------------------------------------ who takes part

    def _go_on(self, key: int, texts: dict[int, _Text], resident: AdapterCache) -> _Text:
        if key not in self._rows:
            return _Text(failure=_failure(NotLoaded, f"no row with the key {key} is running"))
        row = self._rows[key]
        if not resident.holds(row.slot, row.digest, row.placed):
            self.release([key])
            message = f"slot {row.slot} no longer holds what the row began with"
            return _Text(failure=_failure(NotLoaded, message))
        return texts.setdefault(key, _Text())

    def _begin(
        self,
        begin: StartSequence,
        texts: dict[int, _Text],
        placed: Mapping[int, Placed],
        digests: Mapping[int, str],
    ) -> _Text:
        row, own = begin.row, placed.get(begin.row.slot)
        try:
            self._check(begin, own)
            running = SequenceState(
                key=begin.key, number=self._num_begun, slot=row.slot,
                digest=digests.get(row.slot), placed=own, salt=begin.salt, ids=list(row.ids),
                num_prompt=len(row.ids), max_tokens=min(begin.max_tokens, self._room(row)),
                sampler=self._sampler(begin),
            )  # fmt: skip
            self._runner.admit(running)
        except BadRow as error:
            return _Text(failure=_failure(BadRow, str(error)))
        self._num_begun += 1
        self._rows[begin.key] = running
        return texts.setdefault(begin.key, _Text())

    def _check(self, begin: StartSequence, placed: Placed | None) -> None:
        if not self._base.writes:
            raise BadRow(f"{self._base.name} has no output embeddings, so it writes no text")
        if placed is not None and not placed.head.writes:
            slot = begin.row.slot
            raise BadRow(f"slot {slot} holds a version whose head does not write text")
        if (failure := check_row(begin.row, self._base)) is not None:
            raise BadRow(failure.message)
        if begin.max_tokens < 1:
            raise BadRow(f"max_tokens is {begin.max_tokens}; a row writes at least 1")
        if begin.key in self._rows:
            raise BadRow(f"a row with the key {begin.key} is running")

    def _room(self, row: Row) -> int:
        """How many tokens may follow: a decoder reads its row on, one beside an encoder begins."""
        beside = self._base.family.architecture == "seq2seq"
        return self._base.max_tokens - (0 if beside else len(row.ids) - 1)

    def _sampler(self, begin: StartSequence) -> RowSampler:
        return RowSampler(begin.sampling, begin.row.ids, self._base.end_ids, self._grammars)

    # ------------------------------------------------------------ forwards

    def _forwards(self, step: Generate, texts: Mapping[int, _Text]) -> list[ScheduledChunk]:
        """As many as the step asks for; answers what was read."""
        made: list[ScheduledChunk] = []
        for _ in range(step.num_tokens):
            going = [self._rows[key] for key in texts if key in self._rows]
            groups = self._runner.schedule(going, step.max_tokens) if going else []
            for scheduled in groups:
                self._advance(scheduled, texts)
                made += scheduled
            if not groups:
                break
        return made

    def _advance(self, scheduled: Sequence[ScheduledChunk], texts: Mapping[int, _Text]) -> None:
        """Halves the rows when the model's code raises, so that only the row at fault fails."""
        try:
            answers = self._answers(scheduled)
        except (RuntimeError, ValueError, IndexError) as error:
            if is_device_lost(error):  # no row is to blame, and none would ever go well again
                raise
            if len(scheduled) == 1:
                self._fail(scheduled[0].row, row_failure(error), texts)
                return
            half = len(scheduled) // 2
            self._advance(scheduled[:half], texts)
            self._advance(scheduled[half:], texts)
            return
        for row, token, logprob, failure in answers:
            if failure is not None:
                self._fail(row, failure, texts)
            else:
                self._note(row, token, logprob, texts[row.key])

    def _answers(
        self, scheduled: Sequence[ScheduledChunk]
    ) -> list[tuple[SequenceState, int, TokenLogprob | None, Failure | None]]:
        logits_WV = self._runner.run(scheduled)
        rows = [item.row for item in scheduled if item.writes]
        if not rows:
            return []
        samplers = [row.sampler for row in rows]
        chosen = sample_tokens(logits_WV, samplers, [row.num_written for row in rows])
        failures = [chosen.failures.get(i) for i in range(len(rows))]
        return list(zip(rows, chosen.tokens, chosen.logprobs, failures, strict=True))

    def _note(
        self, row: SequenceState, token: int, logprob: TokenLogprob | None, text: _Text
    ) -> None:
        if row.sampler.ends(token):
            text.finish = "stop"
        else:
            complete = row.sampler.accept(token)
            row.ids.append(token)
            text.ids.append(token)
            text.logprobs += [] if logprob is None else [logprob]
            text.finish = (
                "stop" if complete else "length" if row.num_written == row.max_tokens else ""
            )
        if row.num_written <= 1:
            text.num_cached = row.num_cached
        if text.finish:
            self.release([row.key])

    def _fail(self, row: SequenceState, failure: Failure, texts: Mapping[int, _Text]) -> None:
        texts[row.key].failure = failure
        self.release([row.key])


def _failure(error: type[EngineError], message: str) -> Failure:
    return Failure(code=error.code, message=message)
