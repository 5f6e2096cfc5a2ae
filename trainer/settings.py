"""The settings of one training job: names, defaults and sane ranges. Knows nothing of files or the
engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trainer.errors import BadSetting


def _number(default: float | None, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "text": text})


def _choice(choices: tuple[str, ...], text: str) -> Any:
    return field(default=None, metadata={"choices": choices, "text": text})


def _names(text: str) -> Any:
    return field(default=None, metadata={"text": text})


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
    rslora: bool = field(default=False, metadata={"text": "scale a `lora` by alpha / √rank"})
    dora: bool = field(default=False, metadata={"text": "a `lora` with learned magnitudes (DoRA)"})
    variant: str | None = _choice(
        ("houlsby", "pfeiffer", "parallel"), "of a `bottleneck`; none: houlsby, two per layer"
    )
    reduction: int | None = _number(
        None, 1, 1024, "a `bottleneck` is hidden size / reduction wide; none: its variant's own"
    )
    activation: str | None = _choice(
        ("relu", "gelu", "swish", "tanh"), "of a `bottleneck`; none: its variant's own"
    )
    targets: tuple[str, ...] | None = _names(
        "linears a `lora`, `ia3` or `bias` adapts, by name or its ending; none: all, or (IA)³'s own"
    )
    layers: tuple[int, ...] | int | None = _names(
        "layers to adapt, or how many from the top; none: the upper half"
    )
    patience: int = _number(2, 1, 200, "epochs without a better dev metric before stopping early")
    seed: int = _number(0, 0, 2**31 - 1, "seed of fresh weights, dropout and batch order")
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
        return cls(
            **{name: _read(name, str(known[name].type), value) for name, value in raw.items()}
        )

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name), each.metadata)


def _read(name: str, kind: str, value: Any) -> Any:
    if value is None and kind.endswith("| None"):
        return None
    if kind.startswith("dict"):
        return _read_weights(name, value)
    if kind.startswith("str"):
        return value
    if kind.startswith("tuple") and not ("| int" in kind and isinstance(value, int | float)):
        return _read_tuple(name, int if "int" in kind else str, value)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise BadSetting(f"{name} must be true or false, not {value!r}.", name=name)
    return _read_number(name, whole="int" in kind, value=value)


def _read_number(name: str, *, whole: bool, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadSetting(f"{name} must be a finite number, not {value!r}.", name=name)
    if not whole:
        return float(value)
    # numbers arrive as doubles from a protobuf Struct, so 3.0 is the number 3
    if value != int(value):
        raise BadSetting(f"{name} must be a whole number, not {value!r}.", name=name)
    return int(value)


def _read_weights(name: str, value: Any) -> dict[str, float] | str:
    if value == "balanced":
        return "balanced"
    if not isinstance(value, Mapping) or not value:
        raise BadSetting(
            f"{name} must be 'balanced' or an object of label and weight, not {value!r}.", name=name
        )
    weights = {each: _read_number(name, whole=False, value=raw) for each, raw in value.items()}
    if bad := [each for each, weight in weights.items() if weight <= 0]:
        raise BadSetting(f"{name} gives {bad[0]!r} no positive weight.", name=name)
    return {str(each): float(weight) for each, weight in weights.items()}


def _read_tuple(name: str, kind: type, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise BadSetting(
            f"{name} must be a list with at least one entry, not {value!r}.", name=name
        )
    if kind is int:
        return tuple(_read_number(name, whole=True, value=each) for each in value)
    if not all(isinstance(each, str) and each for each in value):
        raise BadSetting(f"{name} must hold names only, not {value!r}.", name=name)
    return tuple(value)


def _check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    if value is None:
        return
    if (choices := metadata.get("choices")) and value not in choices:
        raise BadSetting(f"{name} is {value!r}; it must be one of {', '.join(choices)}.", name=name)
    low, high = metadata.get("low"), metadata.get("high")
    if low is not None and high is not None and not low <= value <= high:
        raise BadSetting(
            f"{name} is {value!r}; it must be between {low:g} and {high:g}.", name=name
        )
