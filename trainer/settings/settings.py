"""The settings of one training job: names, types, defaults, ranges and descriptions. Knows no
file and no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, StrictBool, ValidationError, field_validator

from engine.kind_settings import (
    BiasSettings,
    BottleneckSettings,
    HeadOnlySettings,
    Ia3Settings,
    LoraSettings,
)
from engine.kind_settings.kind_settings import LayerShare
from engine.kind_settings.number_types import Real, Whole, read_whole
from trainer.settings.presets import PRESETS, PresetName
from trainer.settings.schedule import Shape
from trainer.settings.search_settings import SearchSettings
from trainer.settings.sentences import bad_setting

#: what few rows change where the caller does not name it
BY_ROWS = ("batch_rows", "epochs", "patience")

_Weight = Annotated[Real, Field(gt=0)]


class _LearningSettings(BaseModel, frozen=True):
    """How any kind and any head learns."""

    epochs: Whole = Field(default=5, ge=1, le=200, description="passes over the training rows")
    batch_rows: Whole = Field(default=32, ge=1, le=1024, description="rows per optimizer step")
    learning_rate: Real | None = Field(
        default=None,
        ge=1e-8,
        le=1.0,
        description="peak learning rate; default: set by the adapter kind",
    )
    warmup_share: Real = Field(
        default=0.06,
        ge=0.0,
        le=0.9,
        description="share of all steps in which the learning rate rises linearly",
    )
    schedule: Shape = Field(
        default="linear", description="how the learning rate falls after the warm-up"
    )
    weight_decay: Real = Field(
        default=0.01, ge=0.0, le=1.0, description="decoupled weight decay of AdamW"
    )
    max_grad_norm: Real = Field(
        default=1.0, ge=1e-3, le=1e3, description="gradients are clipped to this norm"
    )
    dropout: Real = Field(default=0.1, ge=0.0, le=0.9, description="dropout in the adapter")
    head_dropout: Real = Field(default=0.1, ge=0.0, le=0.9, description="dropout before the head")
    head_learning_rate_scale: Real = Field(
        default=1.0,
        ge=1e-3,
        le=1e3,
        description="learning rate of the head, as a multiple of `learning_rate`",
    )
    max_tokens: Whole | None = Field(
        default=None,
        ge=8,
        le=65536,
        description="longer rows are truncated; default: the base's limit",
    )
    label_smoothing: Real = Field(
        default=0.0, ge=0.0, le=0.5, description="share of each target spread over all labels"
    )
    class_weights: dict[str, _Weight] | Literal["balanced"] | None = Field(
        default=None,
        description="weight per label: `balanced` or {label: weight}; default: unweighted",
    )
    threshold: Real = Field(
        default=0.5,
        ge=0.01,
        le=0.99,
        description="probability from which a label of a multi-label task is predicted",
    )
    window: Whole | None = Field(
        default=None,
        ge=16,
        le=65536,
        description="tokens per window of a longer text (`tag`, `span`); default: the base's limit",
    )
    stride: Whole | None = Field(
        default=None,
        ge=0,
        le=32768,
        description="tokens that neighbouring windows share; default: a quarter of the text in one",
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _check_class_weights(cls, value: Any) -> Any:
        if value in (None, "balanced") or (isinstance(value, Mapping) and value):
            return value
        raise ValueError(f"must be 'balanced' or an object of labels and weights, not {value!r}")


class TrainingSettings(
    HeadOnlySettings,
    BiasSettings,
    Ia3Settings,
    BottleneckSettings,
    LoraSettings,
    _LearningSettings,
    frozen=True,
    extra="forbid",
):
    """How to train. `None` leaves the choice to the adapter kind, the head or the base, as the
    description of the setting says. The settings of a kind are inherited from its declaration.
    """

    preset: PresetName = Field(
        default="balanced",
        description="how much training the version is worth; settings that are named beside it win",
    )
    unfreeze: Whole = Field(
        default=0,
        ge=0,
        le=200,
        description="epochs in which layers are unfrozen from the top down, the head alone first; "
        "0: off",
    )
    patience: Whole = Field(
        default=2,
        ge=1,
        le=200,
        description="epochs without a better dev metric before training stops early",
    )
    seed: Whole = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="seed of the initial weights, dropout, batch order",
    )
    seeds: Whole = Field(
        default=1,
        ge=1,
        le=20,
        description="runs with consecutive seeds from `seed` on; the best on dev is kept",
    )
    average_seeds: StrictBool = Field(
        default=False,
        description="publish the mean of the weights of all seeds where it is better on dev; they "
        "begin with the same weights",
    )
    initial_seed: Whole | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description="seed of the initial weights alone; default: `seed`",
    )
    search: SearchSettings | None = Field(
        default=None,
        description="random search over settings on dev rows first: `trials`, `halving`, `space`",
    )
    learning_curve: StrictBool = Field(
        default=False,
        description="train on 25 and 50 % of the rows too, to see whether more data would help",
    )
    full_finetuning: StrictBool = Field(
        default=False,
        description="fine-tune a copy of the whole base too, for comparison; it is never served",
    )
    dev_share: Real = Field(
        default=0.1, ge=0.0, le=0.5, description="share of the training rows held out as dev rows"
    )
    test_share: Real = Field(
        default=0.2, ge=0.01, le=0.5, description="share of all rows held out as test rows"
    )

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TrainingSettings:
        """Read settings by name from JSON; those that are not named are the preset's. Raises
        BadSetting for an unknown name or a value out of range.
        """
        try:
            return cls.model_validate(
                {**_preset_settings(raw.get("preset")), **_without_null_layers(raw)}
            )
        except ValidationError as error:
            raise bad_setting(cls, error) from None

    @property
    def row_tokens(self) -> int | None:
        """The limit on a row's tokens; `None`: the base's own."""
        limits = (self.window, self.max_tokens)
        return min((limit for limit in limits if limit is not None), default=None)

    @field_validator("layers", mode="before")
    @classmethod
    def _check_layers(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            return read_whole(value)
        if value in get_args(LayerShare) or (isinstance(value, list | tuple) and value):
            return value
        raise ValueError(
            f"must be all, half, a number of layers or a list of layer indices, not {value!r}"
        )


def plain_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings of the same preset where nothing else is named."""
    return TrainingSettings.parse({"preset": settings.preset})


def _without_null_layers(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A null is as good as no name; earlier releases stored it."""
    return {name: value for name, value in raw.items() if (name, value) != ("layers", None)}


def _preset_settings(name: Any) -> Mapping[str, Any]:
    """Empty for a name that is none, which the validation refuses."""
    return next((each for known, each in PRESETS.items() if known == name), {})
