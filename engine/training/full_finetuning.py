"""A reference: a private copy of a base trained whole, with a head, and what it then answers. Runs
in a process of its own (`python -m engine.training.full_finetuning`, JSON in, JSON out), which ends
with it.

No slot, no adapter, nothing served.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.adapters.head_layers import HeadLayers, checked_head
from engine.adapters.resident import Placed
from engine.config import EngineConfig
from engine.forward.forward import compute_head_logits, make_batch
from engine.heads import find_head
from engine.model.base import Base
from engine.model.batch import unpack
from engine.model.threads import set_threads
from engine.port import LossOptions, Row

#: the middle of what full fine-tuning usually takes (1e-5 to 5e-5)
LEARNING_RATE = 3e-5
_WARMUP, _DECAY, _MAX_NORM = 0.06, 0.01, 1.0
_SLOT = 1
_READ_AT_ONCE = 32

#: an example is one piece or several, each {"ids", "type_ids", "target"}
Example = Sequence[Mapping[str, Any]]


class FullFinetuning:
    """A whole model with one head: every weight trains."""

    def __init__(self, base: Base, head: Mapping[str, Any], seed: int) -> None:
        torch.manual_seed(seed)
        self._base = base
        self._head, layers = checked_head(head, base)
        # drawn on the CPU, so that a seed means the same on every device
        weights = layers.new_weights(torch.Generator().manual_seed(seed))
        device = base.numerics.device
        self._weights = {
            name: tensor.to(device).requires_grad_() for name, tensor in weights.items()
        }
        base.model.requires_grad_(requires_grad=True)
        self._placed = {_SLOT: _place_head(layers, self._weights)}

    @property
    def parameters(self) -> list[Tensor]:
        return [*self._base.model.parameters(), *self._weights.values()]

    def train(self, rows: Sequence[Example], epochs: int, batch_rows: int) -> None:
        """AdamW, a linear rise and fall of the rate, dropout as the base's own config has it."""
        num_steps = epochs * math.ceil(len(rows) / batch_rows)
        optimizer = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, num_steps))
        self._base.model.train()
        for _ in range(epochs):
            order = torch.randperm(len(rows)).tolist()
            for start in range(0, len(order), batch_rows):
                pieces = [piece for i in order[start : start + batch_rows] for piece in rows[i]]
                optimizer.zero_grad(set_to_none=True)
                self._loss(pieces).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self.parameters, _MAX_NORM)
                optimizer.step()
                schedule.step()
        self._base.model.eval()

    @torch.inference_mode()
    def answers(self, rows: Sequence[Example]) -> list[Any]:
        """Of every piece in order."""
        pieces = [piece for row in rows for piece in row]
        parts = [pieces[i : i + _READ_AT_ONCE] for i in range(0, len(pieces), _READ_AT_ONCE)]
        return [logits.tolist() for part in parts for logits in self._logits(part)]

    def _loss(self, pieces: Sequence[Mapping[str, Any]]) -> Tensor:
        kind, logits = find_head(self._head), self._logits(pieces)
        return kind.loss(
            torch.cat(logits) if kind.per_token else torch.stack(logits),
            [piece["target"] for piece in pieces],
            [len(piece["ids"]) for piece in pieces],
            self._head,
            LossOptions(),
        )

    def _logits(self, pieces: Sequence[Mapping[str, Any]]) -> list[Tensor]:
        """In the order of the pieces."""
        rows = [Row.of(ids=p["ids"], type_ids=p["type_ids"], slot=_SLOT) for p in pieces]
        batch = make_batch(self._base, rows, self._placed)
        hidden = unpack(self._base.forward(batch), batch)
        logits = compute_head_logits(self._base, hidden, batch.slots, self._placed)
        back = sorted(range(len(rows)), key=batch.order.__getitem__)
        return [logits[i] for i in back]


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """{"logits" of every piece of a test row, "epochs", "seconds", "trainable"}."""
    started = time.perf_counter()
    set_threads(question["threads"])
    # padded: the stock attention has the dropout that full fine-tuning is used to
    config = EngineConfig(
        base=question["base"], device=question["device"], dtype="float32", packed=False
    )
    base = Base(config)
    base.numerics.enter()
    model = FullFinetuning(base, question["head"], question["seed"])
    model.train(question["train"], question["epochs"], question["batch_rows"])
    return {
        "logits": model.answers(question["test"]),
        "epochs": question["epochs"],
        "learning_rate": LEARNING_RATE,
        "trainable": sum(tensor.numel() for tensor in model.parameters),
        "seconds": round(time.perf_counter() - started, 3),
    }


def main() -> None:
    os.nice(10)  # a reference waits for everything that is served
    question, answered = json.load(sys.stdin), os.dup(1)
    # libraries print; the answer has the stream for itself
    os.dup2(2, 1)
    with os.fdopen(answered, "w") as out:
        json.dump(answer(question), out)


def _place_head(layers: HeadLayers, weights: dict[str, Tensor]) -> Placed:
    return Placed(
        group="", activation=None, effects={}, head=layers, head_weights=weights, first_layer=0
    )


def _rate(step: int, num_steps: int) -> float:
    num_warmup = max(1, round(num_steps * _WARMUP))
    if step < num_warmup:
        return (step + 1) / num_warmup
    return max(0.0, (num_steps - step) / max(1, num_steps - num_warmup))


if __name__ == "__main__":
    main()
