"""Writing: rows that begin, read on together one token at a time, and run on between steps.

Shape letters: R rows, D hidden width, V words of the vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.base import Base
from engine.errors import BadRow, NonFiniteResult, NotLoaded
from engine.kv_cache import Memory, SourceMemory
from engine.packing import unpack
from engine.plan import plan
from engine.port import Decode, Decoded, Failure, Row, Start, Written
from engine.resident import Placed
from engine.seq2seq import both, encoded, start_id, target_batch, written_on
from engine.sites import Sites
from engine.steps.forward import make_batch
from engine.steps.predict import refused

Answer = Written | Failure


@dataclass(slots=True, eq=False, kw_only=True)
class _Running:
    """A row that writes. `unread` are the tokens the base has not seen yet."""

    slot: int
    #: what its slot must still hold
    digest: str | None
    placed: Placed | None
    unread: list[int]
    #: how many tokens it may still write
    left: int
    memory: Memory


class Writing:
    """All rows that write, by key. Rows of different adapters share each forward."""

    def __init__(self, base: Base, sites: Sites, *, exact: bool) -> None:
        self._base, self._sites, self._exact = base, sites, exact
        self._rows: dict[int, _Running] = {}

    @property
    def keys(self) -> list[int]:
        return sorted(self._rows)

    def start(
        self, step: Start, placed: Mapping[int, Placed], digests: Mapping[int, str]
    ) -> Decoded:
        """Read each row, and write its first token."""
        started = time.perf_counter()
        answers: dict[int, Answer] = {}
        for key, row, most in zip(step.keys, step.rows, step.max_tokens, strict=True):
            failure = self._refused(row, placed.get(row.slot)) or self._taken(key)
            if failure is not None:
                answers[key] = failure
                continue
            self._rows[key] = _Running(
                slot=row.slot, digest=digests.get(row.slot), placed=placed.get(row.slot),
                unread=row.ids, left=min(most, self._room(row)),
                memory=self._base.new_memory(),
            )  # fmt: skip
        going = [key for key in step.keys if key not in answers]
        slots = {self._rows[key].slot for key in going}
        answers |= self._advance(going)
        return Decoded(
            rows=[answers[key] for key in step.keys],
            forward_s=time.perf_counter() - started,
            num_tokens=sum(len(row.ids) for row in step.rows),
            num_adapters=len(slots - {0}),
        )

    def decode(self, step: Decode, digests: Mapping[int, str]) -> Decoded:
        """Up to `num_tokens` forwards of all rows that still write."""
        started = time.perf_counter()
        answers = {key: self._lost(key, digests) for key in step.keys}
        written: dict[int, list[int]] = {key: [] for key in step.keys}
        slots = {self._rows[key].slot for key, answer in answers.items() if answer is None}
        num_tokens = 0
        for _ in range(step.num_tokens):
            going = [key for key, answer in answers.items() if answer is None]
            num_tokens += len(going)
            for key, answer in self._advance(going).items():
                if isinstance(answer, Failure) or answer.finish:
                    answers[key] = answer
                if isinstance(answer, Written):
                    written[key] += answer.ids
        return Decoded(
            rows=[_whole(answers[key], written[key]) for key in step.keys],
            forward_s=time.perf_counter() - started,
            num_tokens=num_tokens,
            num_adapters=len(slots - {0}),
        )

    def release(self, keys: Sequence[int]) -> None:
        for key in keys:
            self._rows.pop(key, None)

    # ------------------------------------------------------------ forwards

    def _advance(self, keys: Sequence[int]) -> dict[int, Answer]:
        """One token of each row; who finishes or fails runs no more."""
        alone = self._exact or not self._base.packed
        groups = [[key] for key in keys] if alone else [list(keys)] if keys else []
        answers: dict[int, Answer] = {}
        for group in groups:
            answers |= self._step(group)
        self.release([k for k, a in answers.items() if isinstance(a, Failure) or a.finish])
        return answers

    def _step(self, keys: list[int]) -> dict[int, Answer]:
        """Halves the rows when the model's code raises, so that only the row at fault fails."""
        rows = [self._rows[key] for key in keys]
        try:
            return dict(zip(keys, self._forward(rows), strict=True))
        except (RuntimeError, ValueError, IndexError) as error:
            if len(keys) == 1:
                message = f"the base cannot compute this row: {error}"
                return {keys[0]: Failure(code=BadRow.code, message=message)}
        half = len(keys) // 2
        return self._step(keys[:half]) | self._step(keys[half:])

    @torch.inference_mode()
    def _forward(self, rows: Sequence[_Running]) -> list[Answer]:
        placed = {row.slot: row.placed for row in rows if row.placed is not None}
        if isinstance(memory := rows[0].memory, SourceMemory):
            assert len(rows) == 1, "rows of an encoder and decoder write one by one"
            return self._noted(rows, self._translated(rows[0], memory, placed))
        tokens = [Row(ids=row.unread, slot=row.slot) for row in rows]
        batch = make_batch(self._base, tokens, placed)
        ordered = [rows[i] for i in batch.order]
        starts_T = torch.tensor(
            [row.memory.length for row in ordered for _ in row.unread],
            device=batch.positions.device,
        )
        batch = replace(batch, positions=batch.positions + starts_T)
        with self._sites.acting(plan(batch, placed)):
            hidden = self._base.forward(batch, [row.memory for row in ordered])
        last_RD = torch.stack([row_TD[-1] for row_TD in unpack(hidden, batch)])
        noted = self._noted(ordered, self._base.vocabulary(last_RD))
        answers = dict(zip(batch.order, noted, strict=True))
        return [answers[position] for position in range(len(rows))]

    def _translated(
        self, row: _Running, memory: SourceMemory, placed: Mapping[int, Placed]
    ) -> Tensor:
        """Logits [1, V] of a row whose source an encoder reads first."""
        if memory.source is None:
            memory.source = make_batch(
                self._base, [Row(ids=row.unread, slot=row.slot)], dict(placed)
            )
            with self._sites.acting(plan(memory.source, placed)):
                memory.encoded = encoded(self._base, memory.source)
            row.unread = [start_id(self._base)]
        target = target_batch(self._base, [row.unread], [row.slot])
        with self._sites.acting(both(self._base, memory.source, target, placed)):
            return written_on(self._base, target, memory)

    def _noted(self, rows: Sequence[_Running], logits_RV: Tensor) -> list[Answer]:
        """Each row's likeliest token, where its logits are numbers at all."""
        finite = logits_RV.isfinite().all(-1).tolist()
        tokens = logits_RV.argmax(-1).tolist()
        return [
            self._note(row, token) if good else _NOT_FINITE
            for row, token, good in zip(rows, tokens, finite, strict=True)
        ]

    def _note(self, row: _Running, token: int) -> Written:
        row.memory.commit(len(row.unread))
        row.unread, row.left = [token], row.left - 1
        if token in self._base.end_ids:
            return Written(ids=[], finish="stop")
        return Written(ids=[token], finish="" if row.left > 0 else "length")

    # ------------------------------------------------------------ refusals

    def _refused(self, row: Row, placed: Placed | None) -> Failure | None:
        if not self._base.writes:
            return _failure(f"{self._base.name} has no output embeddings, so it writes no text")
        if placed is not None and not placed.head.writes:
            return _failure(f"slot {row.slot} holds a version whose head does not write text")
        return refused(row, self._base)

    def _room(self, row: Row) -> int:
        """How many tokens may follow: a decoder reads its row on, one beside an encoder begins."""
        beside = self._base.family.architecture == "seq2seq"
        return self._base.max_tokens - (0 if beside else len(row.ids) - 1)

    def _taken(self, key: int) -> Failure | None:
        return _failure(f"a row with the key {key} is running") if key in self._rows else None

    def _lost(self, key: int, digests: Mapping[int, str]) -> Answer | None:
        if key not in self._rows:
            return Failure(code=NotLoaded.code, message=f"no row with the key {key} is running")
        row = self._rows[key]
        if digests.get(row.slot) == row.digest:
            return None
        self.release([key])
        message = f"slot {row.slot} no longer holds what the row began with"
        return Failure(code=NotLoaded.code, message=message)


_NOT_FINITE = Failure(
    code=NonFiniteResult.code, message="the version's answer to this input is not a finite number"
)


def _failure(message: str) -> Failure:
    return Failure(code=BadRow.code, message=message)


def _whole(answer: Answer | None, ids: list[int]) -> Answer:
    """What a row wrote over a whole step."""
    if isinstance(answer, Failure):
        return answer
    return Written(ids=ids, finish=answer.finish if answer is not None else "")
