"""The steps of training: a slot is opened, trained, evaluated, saved and closed.

Plain data, torch-free. `engine.port` re-exports these names; import them from there.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.port.messages import LossOptions, Message, Row


class OpenTraining(Message, frozen=True, kw_only=True):
    """Take a slot of its own for a fresh adapter and head with fp32 masters and an optimizer.

    Trainings of one `cache` share the frozen activations of its rows: an opaque name for one
    tenant's dataset. Without one they are the slot's own and go with it. `resume` names a directory
    that `Checkpoint` wrote of a training opened with the same settings: every later step then gives
    bit for bit what it would have given there.
    """

    kind: str
    kind_config: dict[str, Any]
    head: dict[str, Any]
    seed: int
    #: of the initial weights, where several trainings begin with the same; else `seed`
    initial_seed: int | None = None
    dropout: float = 0.1
    head_dropout: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    cache: str | None = None
    #: what the frozen activations of one dataset may take, at one boundary
    cache_bytes: int = 1024 * 2**20
    head_learning_rate_scale: float = 1.0
    loss: LossOptions = LossOptions()
    resume: str | None = None


class Fill(Message, frozen=True, kw_only=True):
    """Compute and keep what enters the lowest layer that the slot trains, of rows in one forward.

    Steps with these `keys` then start there. Whoever fills the same rows together finds the same
    bits, whatever is trained on them first. Without `frozen_below` it is where the slot starts now:
    at first the lowest layer that it adapts, then that of its last step.
    """

    slot: int
    rows: list[Row]
    keys: list[int]
    frozen_below: int | None = None


class Forget(Message, frozen=True, kw_only=True):
    """Drop a dataset's frozen activations, as soon as no open training uses them."""

    cache: str


class Train(Message, frozen=True, kw_only=True):
    """One optimizer step on one micro-batch. `keys` name its rows, for what was filled and for
    dropout: a row drops the same whichever rows are beside it.

    Targets are what the head's `targets` makes of labels; -100 is ignored. Adapters of layers below
    `frozen_below` are neither trained nor computed: fresh ones change nothing. Once a layer was
    trained it can no longer be frozen.
    """

    slot: int
    rows: list[Row]
    keys: list[int]
    targets: list[Any]
    learning_rate: float
    step: int
    frozen_below: int | None = None


class Snapshot(Message, frozen=True, kw_only=True):
    """Remember the slot's weights as the best so far."""

    slot: int


class Restore(Message, frozen=True, kw_only=True):
    """Go back to the last snapshot."""

    slot: int


class Average(Message, frozen=True, kw_only=True):
    """Set the weights of a training slot to the mean of those of other training slots, which have
    the same kind, kind settings and head (a model soup: Wortsman 2022, arXiv 2203.05482).
    """

    slot: int
    slots: list[int]


class Checkpoint(Message, frozen=True, kw_only=True):
    """Write all that the slot's next steps depend on into a new directory: whole, or not at all."""

    slot: int
    directory: str


class Save(Message, frozen=True, kw_only=True):
    """Write the slot's adapter and head as a version directory (safetensors and JSON).

    `head` has settings that were found after training, such as a temperature.
    """

    slot: int
    directory: str
    head: dict[str, Any] = msgspec.field(default_factory=dict)


class CloseTraining(Message, frozen=True, kw_only=True):
    """Give the slot and its optimizer back."""

    slot: int
