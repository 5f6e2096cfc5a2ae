"""The base's weights with one adapter in them. Knows no head and no file.

Shape letters: K ranks, I input width, O output width.
"""

from __future__ import annotations

from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.errors import NotExportable
from engine.model.base import Base
from engine.sites.effect import Effect
from engine.sites.routes import at_site


def fold_weights(adapter: Adapter, base: Base) -> dict[str, Tensor]:
    """Parameters of the bare model by name, those that the adapter changes. Raises NotExportable.

    The base must run in float32: in bfloat16 a small update is lost in the weight it is added to.
    """
    changes: dict[str, Tensor] = {}
    for site, effect in adapter.effects(base).items():
        _check_linear(adapter, site, effect, base)
        if site in base.sites:
            weight_OI = _fold_weight(base.weight(site), effect)
            changes[f"{site}.weight"] = weight_OI.T if base.is_transposed(site) else weight_OI
        if (bias_O := _fold_bias(base.bias(site), effect)) is not None:
            changes[f"{site}.bias"] = bias_O
    return {name: tensor.detach().float().contiguous() for name, tensor in changes.items()}


def _fold_weight(weight_OI: Tensor, effect: Effect) -> Tensor:
    folded_OI = weight_OI.float()
    if effect.gain_O is not None:
        folded_OI = folded_OI * (1 + effect.gain_O.float())[:, None]
    if effect.input_gain_I is not None:
        folded_OI = folded_OI * (1 + effect.input_gain_I.float())[None]
    if effect.product is not None:
        folded_OI = folded_OI + (effect.product.down_KI.T @ effect.product.up_KO).T.float()
    return folded_OI


def _fold_bias(bias_O: Tensor | None, effect: Effect) -> Tensor | None:
    """None where nothing changes it."""
    if bias_O is None or (effect.gain_O is None and effect.shift_O is None):
        return None
    folded_O = bias_O.float() * (1 if effect.gain_O is None else 1 + effect.gain_O.float())
    return folded_O if effect.shift_O is None else folded_O + effect.shift_O.float()


def _check_linear(adapter: Adapter, site: str, effect: Effect, base: Base) -> None:
    """Raises NotExportable for what is no change of a linear's weights."""
    product = effect.product
    if (
        adapter.activation is not None
        or effect.route is not at_site
        or (product is not None and product.down_bias_K is not None)
    ):
        raise NotExportable(
            f"a {adapter.kind} adapter adds layers to the base, so it cannot be merged into its "
            "weights; export it as peft or tar"
        )
    if effect.shift_O is not None and base.bias(site) is None:
        raise NotExportable(
            f"the adapter has a bias at {site}, where the base has none to merge it into; export "
            "it as peft or tar"
        )
