"""The loss of part of a training step, forward through the sites that serve, with the dropout of
adapter and head. Knows no optimizer and takes no step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.adapters.resident import Placed, place
from engine.forward.forward import acting_adapters, compute_head_logits, make_batch, plan_slot
from engine.forward.prefix import Prefix
from engine.forward.seq2seq import both, decode_targets, shift_targets
from engine.heads import find_head
from engine.model.base import Base
from engine.model.batch import Batch, unpack
from engine.model.first_tokens import FirstTokens
from engine.ops.keyed_dropout import DropoutStreams, KeyedDropout
from engine.port import IGNORED, OpenTraining, Row, Train
from engine.sites.hooks import Action, Sites

#: where something drops: each place has numbers of its own
_ADAPTER, _HEAD, _TARGET, _BIASES, _FIRSTS = range(5)


class _LaidOut(NamedTuple):
    """Rows of a step as they go forward together; `keys` in the batch's order."""

    batch: Batch
    keys: list[int]
    placed: dict[int, Placed]
    draws: DropoutStreams


class StepLoss:
    """Of one training slot. `active` is what of its adapter is trained now."""

    def __init__(
        self, spec: OpenTraining, base: Base, sites: Sites, head: dict[str, Any], prefix: Prefix
    ) -> None:
        self._spec, self._base, self._sites = spec, base, sites
        self._head, self._prefix = head, prefix

    def of_part(self, step: Train, part: range, active: Adapter) -> Tensor:
        """The mean loss of a part's rows."""
        laid = self._laid_out(step, part, active)
        targets = [step.targets[part[i]] for i in laid.batch.order]
        head = self._head
        kind = find_head(head)
        if self._base.family.architecture == "seq2seq":
            words = self._target_logits(targets, laid)
            return kind.loss(words, targets, laid.batch.lengths, head, self._spec.loss)
        if laid.placed[step.slot].head.writes:
            learned = [[t for t in row if t != IGNORED] for row in targets]
            words = self._words(self._hidden(laid), targets)
            return kind.loss(words, learned, laid.batch.lengths, head, self._spec.loss)
        given, lengths = self._answers(laid)
        return kind.loss(
            torch.cat(given) if kind.per_token else torch.stack(given),
            list(step.targets[part.start : part.stop]),
            lengths,
            head,
            self._spec.loss,
        )

    def answers(self, step: Train, part: range, active: Adapter) -> Tensor:
        """Of a head with one answer a row: the part's logits [R, D], in the order of the step."""
        return torch.stack(self._answers(self._laid_out(step, part, active))[0])

    def _laid_out(self, step: Train, part: range, active: Adapter) -> _LaidOut:
        placed = {step.slot: place(active, self._base)}
        rows = [_on_slot(step.rows[i], step.slot) for i in part]
        batch = make_batch(self._base, rows, placed)
        keys = [step.keys[part[i]] for i in batch.order]
        return _LaidOut(batch, keys, placed, DropoutStreams(self._spec.seed, step.step))

    def _target_logits(self, targets: list[Any], laid: _LaidOut) -> Tensor:
        """Logits over the vocabulary for each token of the targets."""
        rate, draws = self._spec.dropout, laid.draws
        target = shift_targets(self._base, targets, laid.batch.slots)
        dropouts = (
            draws.dropout(rate, _ADAPTER, laid.keys, laid.batch.strides),
            draws.dropout(rate, _TARGET, laid.keys, target.strides),
        )
        with self._sites.acting(both(self._base, laid.batch, target, laid.placed, dropouts)):
            return torch.cat(unpack(decode_targets(self._base, laid.batch, target), target))

    def _answers(self, laid: _LaidOut) -> tuple[list[Tensor], list[int]]:
        """Of a head that reads: each row's logits and length, in the order of the step."""
        batch, kind = laid.batch, find_head(self._head)
        features = batch.lengths if kind.per_token else [1] * len(laid.keys)
        dropout = laid.draws.dropout(self._spec.head_dropout, _HEAD, laid.keys, features)
        hidden = self._hidden(laid)
        logits = compute_head_logits(self._base, hidden, batch.slots, laid.placed, dropout)
        back = sorted(range(len(laid.keys)), key=batch.order.__getitem__)
        return [logits[i] for i in back], [batch.lengths[i] for i in back]

    def _words(self, hidden: list[Tensor], targets: list[list[int]]) -> Tensor:
        """Logits over the vocabulary where something is learned: a prompt's would be waste."""
        learned_T = torch.tensor([t != IGNORED for row in targets for t in row])
        return self._base.vocabulary(torch.cat(hidden)[learned_T.to(hidden[0].device)])

    def _hidden(self, laid: _LaidOut) -> list[Tensor]:
        batch, keys, draws, rate = laid.batch, laid.keys, laid.draws, self._spec.dropout
        prefix = self._prefix.entering(batch, keys)
        dropout = draws.dropout(rate, _ADAPTER, keys, batch.strides)

        def of_biases(num_tokens: int) -> KeyedDropout | None:
            return draws.dropout(rate, _BIASES, [0], [num_tokens])

        with acting_adapters(self._base, self._sites, batch, laid.placed, dropout, of_biases):
            firsts = self._first_tokens(laid)
            if firsts is None:
                return unpack(self._run(batch, prefix), batch)
            with firsts.only(batch), self._sites.also(self._at_firsts(firsts, laid)):
                return list(torch.split(self._run(batch, prefix)[0], 1))

    def _run(self, batch: Batch, prefix: Tensor | None) -> Tensor:
        return self._base.run(batch, self._prefix.boundary, self._base.num_layers, prefix)

    def _first_tokens(self, laid: _LaidOut) -> FirstTokens | None:
        """Where no other token's end is read, and each linear's adapter looks at itself alone."""
        heads = [placed.head.reads_first for placed in laid.placed.values()]
        runs = self._prefix.boundary < self._base.num_layers
        alone = self._spec.kind == "lora" and laid.batch.packed
        return self._base.first_tokens if runs and alone and all(heads) else None

    def _at_firsts(self, firsts: FirstTokens, laid: _LaidOut) -> Mapping[str, Sequence[Action]]:
        keys, (slot,) = laid.keys, laid.placed
        dropout = laid.draws.dropout(self._spec.dropout, _FIRSTS, keys, [1] * len(keys))
        return plan_slot(firsts, laid.placed, lambda _: dropout, slot, len(keys))


def _on_slot(row: Row, slot: int) -> Row:
    return Row(ids=row.ids, type_ids=row.type_ids, slot=slot)
