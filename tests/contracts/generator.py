"""Writes rows by `Generate` steps as a caller would, and knows what stock `generate` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from engine import port
from tests.contracts.engine_under_test import EngineUnderTest

#: where the reference itself is this undecided, another token is no fault
_UNDECIDED = 1e-4


class StepGenerator:
    """Rows of one make_engine: what each wrote so far, by key."""

    def __init__(
        self, under_test: EngineUnderTest, slots: Mapping[str, int], first_key: int = 100
    ) -> None:
        self._under_test, self._slots, self._next_key = under_test, slots, first_key
        self.texts: dict[int, port.SequenceOutput] = {}
        self.failures: dict[int, port.Failure] = {}
        self._waiting: list[port.StartSequence] = []

    @property
    def going(self) -> list[int]:
        return [key for key, text in self.texts.items() if not text.finish]

    def begin(self, ids: list[int], digest: str | None, length: int, **options: Any) -> int:
        """Takes part from the next step on; answers its key."""
        key, self._next_key = self._next_key, self._next_key + 1
        row = port.Row.of(ids=ids, slot=self._slots[digest] if digest else 0)
        self._waiting.append(port.StartSequence(key=key, row=row, max_tokens=length, **options))
        return key

    def step(self, keys: list[int] | None = None, **options: Any) -> port.Generated:
        keys = self.going if keys is None else keys
        place = {slot: digest for digest, slot in self._slots.items()}
        step = port.Generate(begin=self._waiting, keys=keys, place=place, **options)
        self._waiting = []
        decoded: port.Generated = self._under_test.ask(step)
        for key, result in zip([*keys, *(b.key for b in step.begin)], decoded.rows, strict=True):
            self._note(key, result)
        return decoded

    def finish(self, **options: Any) -> None:
        """Steps until every row has ended; each must bring something about."""
        for _ in range(1000):
            if not (self.going or self._waiting):
                return
            self.step(**options)
        raise AssertionError(f"rows never end: {self.going}")

    def release(self, key: int) -> None:
        self._under_test.ask(port.FreeSequences(keys=[key]))
        self.texts.pop(key, None)

    def _note(self, key: int, result: port.SequenceOutput | port.Failure) -> None:
        if isinstance(result, port.Failure):
            self.failures[key] = result
            self.texts.pop(key, None)
            return
        before = self.texts.get(key, port.SequenceOutput(ids=[]))
        self.texts[key] = port.SequenceOutput(
            ids=before.ids + result.ids, finish=result.finish,
            logprobs=before.logprobs + result.logprobs,
            num_cached=max(before.num_cached, result.num_cached),
        )  # fmt: skip


class Reference:
    """Stock models, the bare one and one for each digest, and what each writes alone."""

    def __init__(self, models: Mapping[str | None, Any], length: int) -> None:
        self._models, self._length = models, length
        self._known: dict[tuple[str | None, tuple[int, ...]], list[int]] = {}

    def text(self, digest: str | None, ids: list[int], length: int) -> port.SequenceOutput:
        """An end token is not part of it."""
        known = self._whole(digest, ids)
        if 2 in known[:length]:
            return port.SequenceOutput(ids=known[: known.index(2)], finish="stop")
        return port.SequenceOutput(ids=known[:length], finish="length")

    def agrees(
        self, digest: str | None, ids: list[int], length: int, written: port.SequenceOutput
    ) -> bool:
        """Whether it is the same text, or another from where the model itself is undecided."""
        theirs, ours = self.text(digest, ids, length), written.ids
        if (theirs.ids, theirs.finish) == (ours, written.finish):
            return True
        pairs = zip([*theirs.ids, 2], [*ours, 2], strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
        with torch.inference_mode():
            logits = self._models[digest](torch.tensor([ids + theirs.ids[:same]])).logits[0, -1]
        first, second = logits.topk(2).values.tolist()
        return bool(first - second < _UNDECIDED)

    def _whole(self, digest: str | None, ids: list[int]) -> list[int]:
        key = (digest, tuple(ids))
        if key not in self._known:
            given = torch.tensor([ids])
            with torch.inference_mode():
                out = self._models[digest].generate(
                    input_ids=given, attention_mask=torch.ones_like(given), do_sample=False,
                    max_new_tokens=self._length,
                )  # fmt: skip
            self._known[key] = out[0, len(ids) :].tolist()
        return self._known[key]
