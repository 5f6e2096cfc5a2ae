"""How the fake engine writes: each row's own tokens again, turned round by as many places as its
version says. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine import port
from engine.errors import BadRow, NotLoaded
from engine.testing.bag_model import BagModel

Answer = port.SequenceOutput | port.Failure


@dataclass(slots=True, kw_only=True)
class _BagRow:
    """A row that writes: what it will say, and how much of it it may."""

    num_read: int
    unsaid: list[int]
    left: int
    sampling: port.Sampling
    num_said: int = 0


@dataclass(slots=True)
class BagWriting:
    """Rows that write, by key. A row reads its whole prompt in the forward it begins with."""

    rows: dict[int, _BagRow] = field(default_factory=dict)

    @property
    def used_blocks(self) -> int:
        """As if each row held a block for every 16 tokens."""
        return sum(-(-(row.num_read + row.num_said) // 16) for row in self.rows.values())

    def write(self, step: port.Generate, model: Callable[[int], BagModel]) -> port.Generated:
        refused = [self._begin(begin, model) for begin in step.begin]
        answers = [self._several(key, step.num_tokens) for key in step.keys]
        answers += [
            failure or self._several(begin.key, step.num_tokens)
            for begin, failure in zip(step.begin, refused, strict=True)
        ]
        slots = {begin.row.slot for begin in step.begin if begin.row.slot}
        num_read = sum(begin.row.num_tokens for begin in step.begin)
        return port.Generated(
            rows=answers,
            forward_s=1e-4,
            num_tokens=num_read + len(step.keys),
            num_adapters=len(slots),
            used_blocks=self.used_blocks,
        )

    def release(self, keys: Sequence[int]) -> None:
        for key in keys:
            self.rows.pop(key, None)

    def _begin(
        self, begin: port.StartSequence, model: Callable[[int], BagModel]
    ) -> port.Failure | None:
        ids = begin.row.ids
        if not ids:
            return port.Failure(code=BadRow.code, message="the row has no tokens")
        if begin.key in self.rows:
            message = f"a row with the key {begin.key} is running"
            return port.Failure(code=BadRow.code, message=message)
        turn = round(float(model(begin.row.slot).bias.sum()) * 1000) if begin.row.slot else 0
        turn %= len(ids)
        self.rows[begin.key] = _BagRow(
            num_read=len(ids),
            unsaid=ids[turn:] + ids[:turn],
            left=begin.max_tokens,
            sampling=begin.sampling,
        )
        return None

    def _several(self, key: int, count: int) -> Answer:
        if key not in self.rows:
            message = f"no row with the key {key} is running"
            return port.Failure(code=NotLoaded.code, message=message)
        row, ids, finish = self.rows[key], list[int](), ""
        while len(ids) < count and not finish:
            tokens, finish = _next(row)
            ids += tokens
        if finish:
            self.release([key])
        return port.SequenceOutput(ids=ids, finish=finish, logprobs=_certain(ids, row.sampling))


def _next(row: _BagRow) -> tuple[list[int], str]:
    """What it says next, and why that is the end; an end token is not said."""
    if not row.unsaid or row.unsaid[0] in row.sampling.stop_ids:
        return [], "stop"
    row.left, row.num_said = row.left - 1, row.num_said + 1
    return [row.unsaid.pop(0)], "" if row.left > 0 else "length"


def _certain(ids: Sequence[int], sampling: port.Sampling) -> list[port.TokenLogprob]:
    """What had no alternative has the probability one."""
    if sampling.logprobs < 0:
        return []
    return [
        port.TokenLogprob(logprob=0.0, top=[(token, 0.0)][: sampling.logprobs]) for token in ids
    ]
