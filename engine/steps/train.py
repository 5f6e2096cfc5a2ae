"""Training one slot: fp32 masters, AdamW, dropout in adapter and head, at the sites that serve.

Activations of the frozen layers below the lowest adapter are computed once per row and kept
(`cache`), so later epochs start at that layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.adapter import Adapter
from engine.base import Base
from engine.errors import BadAdapter, BadTraining, Diverged
from engine.head_layers import checked_head
from engine.heads import head_kind
from engine.heads.head_kind import IGNORED
from engine.kinds import KINDS
from engine.masters import Masters
from engine.packing import Batch, unpack
from engine.port import Checkpointed, OpenTraining, Row, Train, Trained
from engine.prefix_cache import PrefixCache
from engine.resident import Placed, place
from engine.seq2seq import both, shifted, taught
from engine.sites import Sites
from engine.slot_checkpoint import read_checkpoint, write_checkpoint
from engine.steps.forward import acting, head_logits, make_batch

Dropout = Callable[[Tensor], Tensor]

_MAX_PART_TOKENS = 4096


class Training:
    """One job's slot: masters, optimizer, best weights so far, and its cached activations."""

    def __init__(self, spec: OpenTraining, base: Base, sites: Sites) -> None:
        self._spec, self._base, self._sites = spec, base, sites
        self.adapter = _fresh(spec, base)
        groups = _groups(self.adapter, spec)
        self._masters = Masters(self.adapter.tensors, groups, base.numerics.device)
        if spec.resume is not None:
            read_checkpoint(self._masters, spec, base, Path(spec.resume))
        self._cache = PrefixCache(base, base.first_layer(self.adapter.weights), spec.cache_bytes)

    @property
    def num_trainable(self) -> int:
        return self.adapter.num_parameters

    @property
    def num_steps(self) -> int:
        return self._masters.num_steps

    @property
    def cache_bytes(self) -> int:
        return self._cache.num_bytes

    @torch.no_grad()
    def placed(self) -> Placed:
        """The masters as they are now, ready to predict with."""
        return place(self.adapter, self._base)

    def train(self, step: Train) -> Trained:
        """One optimizer step. Raises Diverged and leaves the weights as they were."""
        if not step.rows or len(step.rows) != len(step.targets) or len(step.rows) != len(step.keys):
            raise BadTraining(
                "a training step needs as many keys and targets as rows, and at least one row"
            )
        self._masters.optimizer.zero_grad(set_to_none=True)
        # a pair's two rows are neighbours, and its loss needs them both
        together = 2 if head_kind(self.adapter.head).trains_apart else 1
        beside = self._base.family.architecture == "seq2seq"
        loss = sum(self._backward(step, part) for part in _parts(step, together, beside))
        norm = torch.nn.utils.clip_grad_norm_(
            list(self.adapter.tensors.values()), self._spec.max_grad_norm
        )
        if not torch.isfinite(norm):
            raise Diverged(f"the gradient's norm is {norm.item()} at step {step.step}")
        self._masters.step(step.learning_rate)
        return Trained(loss=loss, grad_norm=norm.item())

    def snapshot(self) -> None:
        self._masters.snapshot()

    def restore(self) -> None:
        self._masters.restore()

    def unmoved(self) -> list[str]:
        """Trained tensors that no gradient ever reached; weight decay alone does not count."""
        return sorted(self._masters.unreached)

    def checkpoint(self, directory: Path) -> Checkpointed:
        """Raises CheckpointFailed."""
        return write_checkpoint(self._masters, self._spec, self._base, directory)

    def _backward(self, step: Train, part: range) -> float:
        """Gradients of the part's share of the step's mean loss; answers that share."""
        share = _weight(step.targets[part.start : part.stop]) / _weight(step.targets)
        loss = self._loss(step, part) * share
        if not torch.isfinite(loss):
            raise Diverged(f"the training loss is {loss.item()} at step {step.step}")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _loss(self, step: Train, part: range) -> Tensor:
        placed = {step.slot: place(self.adapter, self._base)}
        rows = [_on_slot(step.rows[i], step.slot) for i in part]
        batch = make_batch(self._base, rows, placed)
        generator = torch.Generator(self._base.numerics.device).manual_seed(
            _mix(self._spec.seed, step.step, part.start)
        )
        targets = [step.targets[part[i]] for i in batch.order]
        head = self.adapter.head
        kind = head_kind(head)
        if self._base.family.architecture == "seq2seq":
            target = shifted(self._base, targets, batch.slots)
            actions = both(self._base, batch, target, placed)
            with self._sites.acting(actions, _dropout(self._spec.dropout, generator)):
                words = torch.cat(unpack(taught(self._base, batch, target), target))
            return kind.loss(words, targets, batch.lengths, head, self._spec.loss)
        hidden = self._hidden(batch, [step.keys[part[i]] for i in batch.order], placed, generator)
        if placed[step.slot].head.writes:
            learned = [[t for t in row if t != IGNORED] for row in targets]
            words = self._words(hidden, targets)
            return kind.loss(words, learned, batch.lengths, head, self._spec.loss)
        logits = head_logits(
            self._base, hidden, batch.slots, placed, _dropout(self._spec.head_dropout, generator)
        )
        back = sorted(range(len(rows)), key=batch.order.__getitem__)
        given = [logits[i] for i in back]
        return kind.loss(
            torch.cat(given) if kind.per_token else torch.stack(given),
            list(step.targets[part.start : part.stop]),
            [batch.lengths[i] for i in back],
            head,
            self._spec.loss,
        )

    def _words(self, hidden: list[Tensor], targets: list[list[int]]) -> Tensor:
        """Logits over the vocabulary where something is learned: a prompt's would be waste."""
        learned_T = torch.tensor([t != IGNORED for row in targets for t in row])
        return self._base.vocabulary(torch.cat(hidden)[learned_T.to(hidden[0].device)])

    def _hidden(
        self,
        batch: Batch,
        keys: Sequence[int],
        placed: dict[int, Placed],
        generator: torch.Generator,
    ) -> list[Tensor]:
        prefix = self._cache.hidden(batch, keys)
        dropout = _dropout(self._spec.dropout, generator)
        with acting(self._base, self._sites, batch, placed, dropout):
            final = self._base.run(batch, self._cache.boundary, self._base.num_layers, prefix)
        return unpack(final, batch)


def _fresh(spec: OpenTraining, base: Base) -> Adapter:
    if spec.kind not in KINDS:
        raise BadTraining(
            f"the adapter kind is {spec.kind!r}; this engine trains {', '.join(KINDS)}"
        )
    kind = KINDS[spec.kind]
    config = kind.check(spec.kind_config, base)
    try:
        head, layers = checked_head(spec.head, base)
    except BadAdapter as error:
        raise BadTraining(str(error)) from error
    generator = torch.Generator().manual_seed(spec.seed)
    weights = kind.new_weights(config, base, generator)
    head_weights = layers.new_weights(generator)
    if not head_weights and not any(weights.values()):
        raise BadTraining(
            f"the kind {spec.kind} and the head {head['kind']} have no weights: nothing to train"
        )
    return Adapter(
        kind=spec.kind,
        config=config,
        weights=_to_masters(weights, base),
        head=head,
        head_weights={n: _master(t, base) for n, t in head_weights.items()},
    )


def _to_masters(weights: dict[str, dict[str, Tensor]], base: Base) -> dict[str, dict[str, Tensor]]:
    return {
        site: {part: _master(t, base) for part, t in parts.items()}
        for site, parts in weights.items()
    }


def _master(tensor: Tensor, base: Base) -> Tensor:
    return nn.Parameter(tensor.to(base.numerics.device))


def _groups(adapter: Adapter, spec: OpenTraining) -> list[dict[str, Any]]:
    """Decay for matrices only, as is usual: biases are too few to overfit."""
    body = [tensor for parts in adapter.weights.values() for tensor in parts.values()]
    head = list(adapter.head_weights.values())
    return [
        {
            "params": [t for t in tensors if (t.ndim > 1) == is_matrix],
            "weight_decay": spec.weight_decay if is_matrix else 0.0,
            "scale": scale,
        }
        for tensors, scale in ((body, 1.0), (head, spec.head_learning_rate_scale))
        for is_matrix in (True, False)
    ]


def _on_slot(row: Row, slot: int) -> Row:
    return Row(ids=row.ids, type_ids=row.type_ids, slot=slot)


def _parts(step: Train, together: int, beside: bool) -> list[range]:
    """The step's rows in stretches of bounded size: one step must neither exhaust the memory nor
    keep served rows waiting for long.
    """
    answers = [len(target) if beside else 0 for target in step.targets]  # a decoder reads them
    sizes = [len(row.ids) + answer for row, answer in zip(step.rows, answers, strict=True)]
    starts, tokens = [0], 0
    for index, size in enumerate(sizes):
        if tokens and index % together == 0 and tokens + size > _MAX_PART_TOKENS:
            starts.append(index)
            tokens = 0
        tokens += size
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def _weight(targets: Sequence[Any]) -> int:
    """How many targets a mean loss is a mean of: rows, or the tokens that have a tag."""
    counts = [sum(t != IGNORED for t in x) if isinstance(x, list) else 1 for x in targets]
    return max(1, sum(counts))


def _mix(seed: int, step: int, part: int) -> int:
    """One seed per (job, step, part): a step's dropout does not depend on what ran before it."""
    return (seed * 1_000_003 + step * 7_919 + part * 104_729 + 17) % 2**63


def _dropout(rate: float, generator: torch.Generator) -> Dropout | None:
    if rate <= 0:
        return None

    def drop(x: Tensor) -> Tensor:
        return x * torch.empty_like(x).bernoulli_(1 - rate, generator=generator).div_(1 - rate)

    return drop
