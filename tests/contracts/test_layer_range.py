"""A forward in two stretches of layers is the whole forward, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine import port
from engine.model.batch import pack, pad
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

RANGED = [
    pytest.param(family, packed, id=f"{family}-{'packed' if packed else 'padded'}")
    for family in sorted(BASES)
    for packed in (True, False)
]


@pytest.mark.parametrize(("family", "packed"), RANGED)
def test_two_stretches_of_layers_equal_the_whole_forward_bit_for_bit(
    make_engine: Callable[..., EngineUnderTest], family: str, packed: bool
) -> None:
    base = make_engine(family, packed=packed).base
    rows = [port.Row.of(ids=ids) for ids in ROWS]
    device = base.numerics.device
    batch = pack(rows, device) if base.packed else pad(rows, device, base.pad_id)
    stretches = range(1, base.num_layers + 1) if base.family.ranged else [base.num_layers]
    with torch.inference_mode():
        whole = base.forward(batch)
        for middle in stretches:
            below = base.run_layers(batch, 0, middle)
            assert torch.equal(base.run_layers(batch, middle, base.num_layers, below), whole)
        assert torch.equal(base.forward(batch), whole)
