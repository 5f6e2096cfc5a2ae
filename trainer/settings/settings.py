"""The settings of one training job: names, defaults and sane ranges. Knows nothing of files or the
engine, nor how a value is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trainer.errors import BadSetting
from trainer.settings.parsing import check_value, read_value
from trainer.settings.schedule import SCHEDULES
from trainer.settings.search_settings import SearchSettings


def _number(default: float | None, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "text": text})


def _choice(choices: tuple[str, ...], text: str, default: str | None = None) -> Any:
    return field(default=default, metadata={"choices": choices, "text": text})


def _names(text: str, *, may_be_empty: bool = False) -> Any:
    return field(default=None, metadata={"text": text, "may_be_empty": may_be_empty})


def _switch(text: str) -> Any:
    return field(default=False, metadata={"text": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How to train. `None` leaves the choice to the kind, the head or the base, as the text of the
    setting says.
    """

    epochs: int = _number(5, 1, 200, "passes over the training rows")
    batch_rows: int = _number(32, 1, 1024, "rows per optimizer step")
    learning_rate: float | None = _number(
        None, 1e-8, 1.0, "peak rate; none: the kind's own default"
    )
    warmup_share: float = _number(0.06, 0.0, 0.9, "share of all steps over which the rate rises")
    schedule: str = _choice(SCHEDULES, "how the rate falls after the warm-up", "linear")
    weight_decay: float = _number(0.01, 0.0, 1.0, "decoupled decay of AdamW")
    max_grad_norm: float = _number(1.0, 1e-3, 1e3, "gradients are clipped to this norm")
    dropout: float = _number(0.1, 0.0, 0.9, "dropout in the adapter")
    head_dropout: float = _number(0.1, 0.0, 0.9, "dropout before the head")
    head_learning_rate_scale: float = _number(1.0, 1e-3, 1e3, "the head's rate, as a multiple")
    max_tokens: int | None = _number(None, 8, 65536, "longer rows are cut; none: the base's limit")
    label_smoothing: float = _number(0.0, 0.0, 0.5, "share of each target spread over all labels")
    class_weights: dict[str, float] | str | None = field(
        default=None,
        metadata={
            "text": "what each label's rows count: `balanced`, or an object; none: all alike"
        },
    )
    threshold: float = _number(0.5, 0.01, 0.99, "probability from which a multi-label label counts")
    window: int | None = _number(
        None,
        16,
        65536,
        "of `tag` and `span`: longer texts are read in windows; none: the base's limit",
    )
    stride: int | None = _number(
        None, 0, 32768, "tokens that neighbouring windows share; none: a quarter of the text's room"
    )
    rank: int = _number(8, 1, 256, "rank of a `lora`")
    alpha: float | None = _number(
        None, 1e-3, 4096, "a `lora` is scaled by alpha / rank; none: the rank"
    )
    rslora: bool = _switch("scale a `lora` by alpha / √rank")
    dora: bool = _switch("a `lora` with learned magnitudes (DoRA)")
    rank_pattern: dict[str, int] | None = field(
        default=None,
        metadata={
            "low": 1,
            "high": 256,
            "text": "other ranks of a `lora`: an object of linears, by name or ending, and rank",
        },
    )
    alpha_pattern: dict[str, float] | None = field(
        default=None,
        metadata={
            "low": 1e-3,
            "high": 4096,
            "text": "other alphas of a `lora`: an object of linears, as above, and alpha",
        },
    )
    lora_bias: bool = _switch("a `lora` whose second product has a bias; not with `dora`")
    bias: str | None = _choice(
        ("none", "lora_only", "all"),
        "the base's own biases that a `lora` trains: of the linears it adapts, or all; none: none",
    )
    variant: str | None = _choice(
        ("houlsby", "pfeiffer", "parallel"), "of a `bottleneck`; none: houlsby, two per layer"
    )
    reduction: int | None = _number(
        None, 1, 1024, "a `bottleneck` is hidden size / reduction wide; none: its variant's own"
    )
    activation: str | None = _choice(
        ("relu", "gelu", "gelu_new", "swish", "silu", "tanh", "sigmoid", "leakyrelu"),
        "of a `bottleneck`; none: its variant's own",
    )
    scaling: float | None = _number(
        None, 1e-3, 1e3, "what a `bottleneck` adds is multiplied by this; none: its variant's own"
    )
    targets: tuple[str, ...] | None = _names(
        "linears a `lora`, `ia3` or `bias` adapts, by name or its ending; none: all, or (IA)³'s own"
    )
    feedforward: tuple[str, ...] | None = _names(
        "those of an `ia3`'s `targets` that are scaled where they read; none: (IA)³'s own",
        may_be_empty=True,
    )
    layers: tuple[int, ...] | int | None = _names(
        "layers to adapt, or how many from the top; none: the upper half"
    )
    unfreeze: int = _number(
        0, 0, 200, "epochs in which layers are unfrozen top-down, the head alone first; 0: none"
    )
    patience: int = _number(2, 1, 200, "epochs without a better dev metric before stopping early")
    seed: int = _number(0, 0, 2**31 - 1, "seed of fresh weights, dropout and batch order")
    seeds: int = _number(3, 1, 20, "runs of the chosen setting, from `seed` on; the best is kept")
    search: SearchSettings | None = field(
        default=None,
        metadata={
            "text": "trials of other settings on dev first: `trials`, `halving`, `space`",
            "read": SearchSettings.parse,
        },
    )
    learning_curve: bool = _switch("train on 25 and 50 % of the rows too; would more data help?")
    full_finetuning: bool = _switch(
        "train a copy of the whole base too, to know what freezing it costs; never served"
    )
    dev_share: float = _number(0.1, 0.0, 0.5, "share of the training rows held out as dev rows")
    test_share: float = _number(0.2, 0.01, 0.5, "share of all rows held out as test rows")

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TrainingSettings:
        """Read settings by name from JSON. Raises BadSetting for an unknown name or a value out of
        range.
        """
        known = {each.name: each for each in fields(cls)}
        for name in raw:
            if name not in known:
                raise BadSetting(
                    f"There is no setting {name!r}; there are: {', '.join(known)}.", name=name
                )
        return cls(**{name: read_value(known[name], value) for name, value in raw.items()})

    @property
    def row_tokens(self) -> int | None:
        """How long a row may be at most; none: as long as the base reads."""
        limits = (self.window, self.max_tokens)
        return min((limit for limit in limits if limit is not None), default=None)

    def __post_init__(self) -> None:
        for each in fields(self):
            check_value(each, getattr(self, each.name))
