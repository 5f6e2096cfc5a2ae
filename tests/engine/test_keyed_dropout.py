"""Dropout that belongs to a row: the same whatever is computed with it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.ops.keyed_dropout import DropoutStreams, KeyedDropout

KEYS, COUNTS = [4, 9, 2], [3, 5, 2]


def made(
    rate: float = 0.3,
    *,
    seed: int = 1,
    step: int = 7,
    place: int = 0,
    keys: list[int] = KEYS,
    counts: list[int] = COUNTS,
) -> KeyedDropout:
    dropout = DropoutStreams(seed, step).dropout(rate, place, keys, counts)
    assert dropout is not None
    return dropout


def masks(dropout: KeyedDropout, num_tokens: int, *widths: int) -> list[Tensor]:
    """What each call leaves of ones."""
    return [dropout(torch.ones(num_tokens, width)) for width in widths]


WIDTHS = (8, 3, 200, 8)


def test_a_row_drops_the_same_alone_as_beside_others() -> None:
    together = masks(made(), 10, *WIDTHS)
    alone = masks(made(keys=[9], counts=[5]), 5, *WIDTHS)
    for whole, own in zip(together, alone, strict=True):
        assert torch.equal(whole[3:8], own)


def test_a_row_drops_the_same_in_any_order_of_rows() -> None:
    (there,) = masks(made(), 10, 16)
    (back,) = masks(made(keys=KEYS[::-1], counts=COUNTS[::-1]), 10, 16)
    assert torch.equal(there[:3], back[7:])


def test_padding_behind_a_row_changes_nothing_of_it() -> None:
    (packed,) = masks(made(), 10, 16)
    (padded,) = masks(made(counts=[5, 5, 5]), 15, 16)
    assert torch.equal(packed[:3], padded[:3])
    assert torch.equal(packed[8:], padded[10:12])


@pytest.mark.parametrize("other", [{"seed": 2}, {"step": 8}, {"place": 1}, {"keys": [5, 8, 3]}])
def test_another_seed_step_place_or_row_drops_others(other: dict[str, int]) -> None:
    (first,), (second,) = masks(made(), 10, 64), masks(made(**other), 10, 64)  # type: ignore[arg-type]
    assert (first == second).float().mean() < 0.7


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_wanted_share_is_dropped_and_the_mean_stays(rate: float) -> None:
    dropout = made(rate, keys=list(range(100)), counts=[20] * 100)
    (mask,) = masks(dropout, 2000, 128)
    assert (mask == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert mask.mean().item() == pytest.approx(1, abs=0.01)


def test_tokens_columns_and_calls_are_not_alike() -> None:
    first, second = masks(made(0.5, keys=[1], counts=[500]), 500, 64, 64)
    signs = first - 1
    for a, b in (
        (signs[1:], signs[:-1]),
        (signs[:, 1:], signs[:, :-1]),
        (signs, second - 1),
    ):
        assert (a * b).mean().abs().item() < 0.02


def test_without_a_rate_nothing_drops() -> None:
    assert DropoutStreams(1, 1).dropout(0.0, 0, KEYS, COUNTS) is None


def test_tokens_it_was_not_made_for_are_an_error() -> None:
    with pytest.raises(AssertionError, match="made for other tokens"):
        made()(torch.ones(11, 8))
