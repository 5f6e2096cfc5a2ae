"""The loss of a part of a training step, with the dropout of adapter and head.

Runs the same forward as serving. Knows no optimizer and takes no step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.adapters.resident import Placed, place
from engine.forward.forward import acting_adapters, compute_head_logits, make_batch
from engine.forward.kept_rows import KeptRows, keep_read_tokens
from engine.forward.prefix import Prefix
from engine.forward.seq2seq import decode_targets, plan_seq2seq_actions, shift_targets
from engine.heads import find_head
from engine.model.base import Base
from engine.model.batch import Batch, unpack
from engine.ops.keyed_dropout import DropoutStreams, KeyedDropout
from engine.port import IGNORED, OpenTraining, Row, Train
from engine.sites.hooks import Sites, bind_dropout

#: where something drops: each place has numbers of its own
_ADAPTER, _HEAD, _TARGET, _BIASES, _KEPT = range(5)


class _PartInputs(NamedTuple):
    """Rows of a step as they go forward together; `keys` in the batch's order."""

    rows: list[Row]
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
        inputs = self._make_inputs(step, part, active)
        targets = [step.targets[part[i]] for i in inputs.batch.order]
        head = self._head
        kind = find_head(head)
        if self._base.family.architecture == "seq2seq":
            words = self._target_logits(targets, inputs)
            return kind.loss(words, targets, inputs.batch.lengths, head, self._spec.loss)
        if inputs.placed[step.slot].head.can_generate:
            learned = [[t for t in row if t != IGNORED] for row in targets]
            words = self._words(self._compute_hidden(inputs), targets)
            return kind.loss(words, learned, inputs.batch.lengths, head, self._spec.loss)
        logits, lengths = self._answers(inputs)
        return kind.loss(
            torch.cat(logits) if kind.per_token else torch.stack(logits),
            list(step.targets[part.start : part.stop]),
            lengths,
            head,
            self._spec.loss,
        )

    def answers(self, step: Train, part: range, active: Adapter) -> Tensor:
        """Of a head with one answer a row: the part's logits [R, D], in the order of the step."""
        return torch.stack(self._answers(self._make_inputs(step, part, active))[0])

    def _make_inputs(self, step: Train, part: range, active: Adapter) -> _PartInputs:
        placed = {step.slot: place(active, self._base)}
        rows = [_on_slot(step.rows[i], step.slot) for i in part]
        batch = make_batch(self._base, rows, placed)
        keys = [step.keys[part[i]] for i in batch.order]
        return _PartInputs(rows, batch, keys, placed, DropoutStreams(self._spec.seed, step.step))

    def _target_logits(self, targets: list[Any], inputs: _PartInputs) -> Tensor:
        """Logits over the vocabulary for each token of the targets."""
        rate, draws = self._spec.dropout, inputs.draws
        target = shift_targets(self._base, targets, inputs.batch.slots)
        dropouts = (
            draws.dropout(rate, _ADAPTER, inputs.keys, inputs.batch.strides),
            draws.dropout(rate, _TARGET, inputs.keys, target.strides),
        )
        with self._sites.acting(
            plan_seq2seq_actions(self._base, inputs.batch, target, inputs.placed, dropouts)
        ):
            return torch.cat(unpack(decode_targets(self._base, inputs.batch, target), target))

    def _answers(self, inputs: _PartInputs) -> tuple[list[Tensor], list[int]]:
        """Of a head that reads: each row's logits and length, in the order of the step."""
        batch, kind = inputs.batch, find_head(self._head)
        features = batch.lengths if kind.per_token else [1] * len(inputs.keys)
        dropout = inputs.draws.dropout(self._spec.head_dropout, _HEAD, inputs.keys, features)
        hidden = self._compute_hidden(inputs)
        logits = compute_head_logits(self._base, hidden, batch.slots, inputs.placed, dropout)
        back = sorted(range(len(inputs.keys)), key=batch.order.__getitem__)
        return [logits[i] for i in back], [batch.lengths[i] for i in back]

    def _words(self, hidden: list[Tensor], targets: list[list[int]]) -> Tensor:
        """Logits over the vocabulary where something is learned: a prompt's would be waste."""
        learned_T = torch.tensor([t != IGNORED for row in targets for t in row])
        return self._base.compute_logits(torch.cat(hidden)[learned_T.to(hidden[0].device)])

    def _compute_hidden(self, inputs: _PartInputs) -> list[Tensor]:
        batch, keys, draws, rate = (
            inputs.batch,
            inputs.keys,
            inputs.draws,
            self._spec.dropout,
        )
        prefix = self._prefix.lookup_or_run(batch, keys)
        dropout = draws.dropout(rate, _ADAPTER, keys, batch.strides)

        def of_biases(num_tokens: int) -> KeyedDropout | None:
            return draws.dropout(rate, _BIASES, [0], [num_tokens])

        kept = self._keep_rows(inputs)
        with acting_adapters(
            self._base, self._sites, batch, inputs.placed, dropout, of_biases, kept
        ):
            kept_K = None if kept is None else kept.index_K
            start, stop = self._prefix.boundary, self._base.num_layers
            final = self._base.run_layers(batch, start, stop, prefix, kept_K)
        return unpack(final, batch if kept is None else kept.batch)

    def _keep_rows(self, inputs: _PartInputs) -> KeptRows | None:
        """The tokens that the head reads, which have a dropout of their own."""
        if self._prefix.boundary == self._base.num_layers:
            return None
        kept = keep_read_tokens(self._base, inputs.rows, inputs.batch, inputs.placed)
        if kept is None:
            return None
        lengths, rate = kept.batch.lengths, self._spec.dropout
        dropout = inputs.draws.dropout(rate, _KEPT, inputs.keys, lengths)
        return replace(kept, actions=bind_dropout(kept.actions, dropout))


def _on_slot(row: Row, slot: int) -> Row:
    return Row(tokens=row.tokens, types=row.types, slot=slot)
