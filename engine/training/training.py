"""Training one slot: fp32 masters, AdamW, dropout in adapter and head, at the sites that serve.

Layers below the lowest one that is trained are frozen: what enters it is filled once per row and
shared (`engine/forward/prefix.py`), so forwards start there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.adapters.initialize import initialize_adapter
from engine.adapters.resident import Placed, place
from engine.errors import BadTraining, Diverged
from engine.forward.prefix import Prefix
from engine.forward.prefix_cache import PrefixCache
from engine.heads import find_head
from engine.model.base import Base
from engine.port import IGNORED, Checkpointed, Fill, OpenTraining, Train, Trained
from engine.sites.hooks import Sites
from engine.training.checkpoint import prepare_checkpoint, read_checkpoint
from engine.training.grad_cache import backward_together
from engine.training.loss import StepLoss
from engine.training.masters import Masters

_MAX_TOKENS = 4096


class Training:
    """One job's slot: masters, optimizer, best weights so far, and its cached activations."""

    def __init__(
        self, spec: OpenTraining, base: Base, sites: Sites, activations: PrefixCache
    ) -> None:
        self._spec, self._base, self._sites = spec, base, sites
        self.adapter = initialize_adapter(spec, base)
        groups = _groups(self.adapter, spec)
        self._masters = Masters(self.adapter.tensors, groups, base.numerics.device)
        if spec.resume is not None:
            read_checkpoint(self._masters, spec, base, Path(spec.resume))
        boundary = base.first_layer(self.adapter.weights)
        self.prefix = Prefix(base, activations, spec.cache, spec.cache_bytes, boundary)
        self._losses = StepLoss(spec, base, sites, self.adapter.head, self.prefix)

    @property
    def num_trainable(self) -> int:
        return self.adapter.num_parameters

    @property
    def num_steps(self) -> int:
        return self._masters.num_steps

    @torch.no_grad()
    def place(self) -> Placed:
        """The masters as they are now, ready to predict with."""
        return place(self.adapter, self._base)

    def fill(self, step: Fill, part: range) -> None:
        """Keep what those of the step's rows enter the lowest trained layer with."""
        if len(step.rows) != len(step.keys):
            raise BadTraining(f"{len(step.keys)} keys came to fill {len(step.rows)} rows")
        if step.frozen_below is not None:
            self._select_trained(step.frozen_below)
        self.prefix.fill([step.rows[i] for i in part], [step.keys[i] for i in part])

    def close(self) -> None:
        self.prefix.close()

    def train(self, step: Train, pause: Callable[[], None]) -> Trained:
        """One optimizer step; `pause` is called before each of its parts. Raises Diverged and
        leaves the weights as they were.
        """
        if not step.rows or len(step.rows) != len(step.targets) or len(step.rows) != len(step.keys):
            raise BadTraining(
                "a training step needs as many keys and targets as rows, and at least one row"
            )
        active = self._select_trained(step.frozen_below)
        self._masters.optimizer.zero_grad(set_to_none=True)
        # a pair's two rows are neighbours, and its loss needs them both
        group_size = 2 if find_head(self.adapter.head).trains_apart else 1
        is_seq2seq = self._base.family.architecture == "seq2seq"
        parts = micro_batches(step, group_size, is_seq2seq)
        if len(parts) > 1 and group_size > 1 and step.targets[0] is None:
            loss = self._backward_together(step, parts, active, pause)
        else:
            loss = sum(self._backward(step, part, active, pause) for part in parts)
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

    def average(self, others: Sequence[Training]) -> None:
        """Take the mean of the others' weights. Raises BadTraining if they are not alike."""
        for other in others:
            if (mine := self._likeness()) != (theirs := other._likeness()):
                raise BadTraining(
                    f"{theirs} cannot be averaged into {mine}; trainings that are averaged have "
                    "the same kind, kind settings and head"
                )
        self._masters.average([other._masters for other in others])

    def _likeness(self) -> str:
        adapter = self.adapter
        return f"a {adapter.kind} of {adapter.config} with the head {adapter.head}"

    def find_unreached(self) -> list[str]:
        """Trained tensors that no gradient ever reached; weight decay alone does not count."""
        return sorted(self._masters.unreached)

    def checkpoint(self, directory: Path) -> Callable[[], Checkpointed]:
        """What writes the training as it is now, in any thread. Raises CheckpointFailed then."""
        return prepare_checkpoint(self._masters, self._spec, self._base, directory)

    def _select_trained(self, below: int | None) -> Adapter:
        """What is trained of the adapter; forwards start at its lowest layer."""
        base, weights = self._base, self.adapter.weights
        if below is not None:
            self._check_frozen(below)
            weights = {s: parts for s, parts in weights.items() if base.layer_of(s) >= below}
        self.prefix.move(base.first_layer(weights))
        return replace(self.adapter, weights=weights)

    def _check_frozen(self, below: int) -> None:
        base, adapter = self._base, self.adapter
        if not base.family.ranged:
            raise BadTraining(
                f"frozen_below is {below}; layers of the {base.family.name} family cannot be run "
                "apart, so none can be frozen"
            )
        if not 0 <= below <= base.num_layers:
            raise BadTraining(
                f"frozen_below is {below}; the base has layers 0 to {base.num_layers - 1}"
            )
        trained = self._masters.trained
        sites = {site for site, parts in adapter.weights.items() if trained & _names(site, parts)}
        if below > (lowest := base.first_layer(sites)):
            raise BadTraining(
                f"frozen_below is {below} and layer {lowest} was trained already: "
                "it would be left out of the forward"
            )
        if not adapter.head_weights and all(base.layer_of(s) < below for s in adapter.weights):
            raise BadTraining(
                f"frozen_below is {below} and the head {adapter.head['kind']} has no weights: "
                "nothing is left to train"
            )

    def _backward(
        self, step: Train, part: range, active: Adapter, pause: Callable[[], None]
    ) -> float:
        """Gradients of the part's share of the step's mean loss; answers that share."""
        pause()
        share = _weight(step.targets[part.start : part.stop]) / _weight(step.targets)
        loss = _finite(self._losses.of_part(step, part, active) * share, step)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _backward_together(
        self, step: Train, parts: list[range], active: Adapter, pause: Callable[[], None]
    ) -> float:
        """As `_backward`, of a loss that sets every row against all others of the step."""
        head, targets = self.adapter.head, list(step.targets)

        def answers(part: range) -> Tensor:
            pause()
            return self._losses.answers(step, part, active)

        def loss(logits: Tensor) -> Tensor:
            lengths = [row.num_tokens for row in step.rows]
            total = find_head(head).loss(logits, targets, lengths, head, self._spec.loss)
            return _finite(total, step)

        return backward_together(answers, parts, loss)


def micro_batches(step: Train, group_size: int, is_seq2seq: bool) -> list[range]:
    """The step's rows in parts of bounded size: one forward and backward must neither exhaust the
    memory nor keep served rows waiting for long.
    """
    answers = [len(target) if is_seq2seq else 0 for target in step.targets]  # a decoder reads them
    sizes = [row.num_tokens + answer for row, answer in zip(step.rows, answers, strict=True)]
    starts, tokens = [0], 0
    for index, size in enumerate(sizes):
        if tokens and index % group_size == 0 and tokens + size > _MAX_TOKENS:
            starts.append(index)
            tokens = 0
        tokens += size
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(sizes)], strict=True)]


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


def _finite(loss: Tensor, step: Train) -> Tensor:
    if not torch.isfinite(loss):
        raise Diverged(f"the training loss is {loss.item()} at step {step.step}")
    return loss


def _names(site: str, parts: Mapping[str, Tensor]) -> set[str]:
    return {f"{site}.{part}" for part in parts}


def _weight(targets: Sequence[Any]) -> int:
    """How many targets a mean loss is a mean of: rows, or the tokens that have a tag."""
    counts = [sum(t != IGNORED for t in x) if isinstance(x, list) else 1 for x in targets]
    return max(1, sum(counts))
