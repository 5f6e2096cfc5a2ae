"""The settings of a new LoRA adapter."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from engine.kind_settings.kind_settings import KindSettings, Layers, ModuleName, Targets

Bias = Literal["none", "lora_only", "all"]


class LoraSettings(KindSettings):
    """Low-rank updates of linears."""

    default_learning_rate: ClassVar[float] = 1e-3
    usual_learning_rates: ClassVar[tuple[float, float]] = (1e-4, 1e-2)

    rank: int = Field(8, ge=1, le=256, description="rank of a `lora`")
    alpha: float | None = Field(
        None, ge=1e-3, le=4096, description="a `lora` is scaled by alpha / rank; none: the rank"
    )
    rslora: bool = Field(default=False, description="scale a `lora` by alpha / √rank")
    dora: bool = Field(default=False, description="a `lora` with learned magnitudes (DoRA)")
    rank_pattern: (
        Annotated[dict[ModuleName, Annotated[int, Field(ge=1, le=256)]], Field(min_length=1)] | None
    ) = Field(
        None,
        description="other ranks of a `lora`: an object of linears, by name or ending, and rank",
    )
    alpha_pattern: (
        Annotated[dict[ModuleName, Annotated[float, Field(ge=1e-3, le=4096)]], Field(min_length=1)]
        | None
    ) = Field(
        None, description="other alphas of a `lora`: an object of linears, as above, and alpha"
    )
    lora_bias: bool = Field(
        default=False, description="a `lora` whose second product has a bias; not with `dora`"
    )
    bias: Bias | None = Field(
        None,
        description="the base's own biases that a `lora` trains: of the linears it adapts, or all; "
        "none: none",
    )
    targets: Targets = None
    layers: Layers = None

    def search_space(self, hidden_size: int) -> dict[str, list[Any]]:
        del hidden_size
        return {} if self.rank_pattern is not None else {"rank": [4, 8, 16, 32]}
