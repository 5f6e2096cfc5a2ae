"""The settings of a new LoRA adapter."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool

from engine.kind_settings.kind_settings import KindSettings, Layers, ModuleName, Targets
from engine.kind_settings.number_types import Real, Whole

Bias = Literal["none", "lora_only", "all"]
_Rank = Annotated[Whole, Field(ge=1, le=256)]
_Alpha = Annotated[Real, Field(ge=1e-3, le=4096)]


class LoraSettings(KindSettings, frozen=True):
    """Low-rank updates of linears."""

    default_learning_rate: ClassVar[float] = 1e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 1e-2)

    rank: _Rank = Field(default=8, description="rank of a `lora`")
    alpha: _Alpha | None = Field(
        default=None, description="a `lora` is scaled by alpha / rank; default: the rank"
    )
    rslora: StrictBool = Field(default=False, description="scale a `lora` by alpha / √rank")
    dora: StrictBool = Field(default=False, description="a `lora` with learned magnitudes (DoRA)")
    rank_pattern: Annotated[dict[ModuleName, _Rank], Field(min_length=1)] | None = Field(
        default=None,
        description="ranks of single linears of a `lora`, by name or ending: {name: rank}",
    )
    alpha_pattern: Annotated[dict[ModuleName, _Alpha], Field(min_length=1)] | None = Field(
        default=None,
        description="alphas of single linears of a `lora`, by name or ending: {name: alpha}",
    )
    lora_bias: StrictBool = Field(
        default=False, description="a bias in the second product of a `lora`; not with `dora`"
    )
    bias: Bias | None = Field(
        default=None,
        description="biases of the base that a `lora` trains too: those of the adapted linears, or "
        "all; default: none",
    )
    targets: Targets = None
    layers: Layers = "all"

    def search_space(self, hidden_size: int) -> dict[str, list[Any]]:
        del hidden_size
        return {} if self.rank_pattern is not None else {"rank": [4, 8, 16, 32]}
