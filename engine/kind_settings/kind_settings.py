"""What the settings of all adapter kinds have in common, and the settings that kinds share.

A field's bounds are pydantic's `ge` and `le`, its choices a `Literal`, its help text the
description. Knows no kind.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from engine.kind_settings.number_types import Whole

#: the name of a module or the end of its path
ModuleName = Annotated[str, Field(min_length=1)]
Targets = Annotated[
    Annotated[tuple[ModuleName, ...], Field(min_length=1)] | None,
    Field(
        description="linears that a `lora`, `ia3` or `bias` adapts, by name or ending; default: "
        "all, or those of (IA)³"
    ),
]
#: `half` is the upper half, rounded up
LayerShare = Literal["all", "half"]
Layers = Annotated[
    Annotated[tuple[Whole, ...], Field(min_length=1)] | Whole | LayerShare,
    Field(
        description="layers to adapt: `all`, `half` (the upper half), how many from the top, or a "
        "list"
    ),
]
#: where a kind acts, rather than what it is: alike for every kind that has them
PLACEMENT = ("targets", "layers")


class KindSettings(BaseModel, frozen=True):
    """The settings of one kind. `None` leaves the choice to the kind or the base, as the help text
    says.
    """

    #: the peak learning rate where none is chosen. Adapters take about ten times the rate of full
    #: fine-tuning, and more the fewer weights they have
    default_learning_rate: ClassVar[float]
    #: the rates at which the kind usually learns, in the literature and in our own trials
    usual_learning_rates: ClassVar[tuple[float, float]]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """In the order of their declaration."""
        return tuple(cls.model_fields)

    def search_space(self, hidden_size: int) -> dict[str, list[Any]]:
        """The values of the kind's own settings that a search tries on a base of this width."""
        del hidden_size
        return {}
