"""How the fake engine writes: each row's own tokens again, turned round by as many places as its
version says. No torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine import port
from engine.bag_model import BagModel
from engine.errors import BadRow, NotLoaded

Answer = port.Written | port.Failure


@dataclass(slots=True)
class BagWriting:
    """Rows that write, by key."""

    rows: dict[int, list[int]] = field(default_factory=dict)
    most: dict[int, int] = field(default_factory=dict)

    def start(self, step: port.Start, model: Callable[[int], BagModel]) -> port.Decoded:
        answers: list[Answer] = []
        for key, row, most in zip(step.keys, step.rows, step.max_tokens, strict=True):
            if not row.ids:
                answers.append(port.Failure(code=BadRow.code, message="the row has no tokens"))
                continue
            turn = round(float(model(row.slot).bias.sum()) * 1000) if row.slot else 0
            turn %= len(row.ids)
            self.rows[key] = row.ids[turn:] + row.ids[:turn]
            self.most[key] = most
            answers.append(self._next(key))
        slots = {row.slot for row in step.rows if row.slot}
        return _decoded(answers, sum(len(row.ids) for row in step.rows), len(slots))

    def decode(self, step: port.Decode) -> port.Decoded:
        answers = [
            self._several(key, step.num_tokens)
            if key in self.rows
            else port.Failure(code=NotLoaded.code, message=f"no row with the key {key} is running")
            for key in step.keys
        ]
        return _decoded(answers, len(step.keys), 0)

    def release(self, keys: list[int]) -> None:
        for key in keys:
            self.rows.pop(key, None)

    def _several(self, key: int, count: int) -> Answer:
        ids: list[int] = []
        for _ in range(count):
            written = self._next(key)
            ids += written.ids
            if written.finish:
                return port.Written(ids=ids, finish=written.finish)
        return port.Written(ids=ids)

    def _next(self, key: int) -> port.Written:
        left = self.rows[key]
        if not left:
            self.release([key])
            return port.Written(ids=[], finish="stop")
        self.most[key] -= 1
        token = left.pop(0)
        if self.most[key] > 0:
            return port.Written(ids=[token])
        self.release([key])
        return port.Written(ids=[token], finish="length")


def _decoded(answers: list[Answer], num_tokens: int, num_adapters: int) -> port.Decoded:
    return port.Decoded(
        rows=answers, forward_s=1e-4, num_tokens=num_tokens, num_adapters=num_adapters
    )
