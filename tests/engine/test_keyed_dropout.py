"""Dropout that belongs to a row: the same whatever is computed with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.ops.keyed_dropout import (
    DropoutStreams,
    KeyedDropout,
    draw_on_device,
    draw_on_host,
)

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


@pytest.mark.parametrize("rate", [0.0, 1e-6, 0.1, 0.5, 0.9, 0.999999])
def test_a_device_draws_the_numbers_of_a_processor(rate: float) -> None:
    edges = [0, 1, 2**63 - 1, 2**63, 2**64 - 1]
    drawn = np.random.default_rng(0).integers(2**64 - 1, size=200, dtype=np.uint64)
    streams_T = np.concatenate([np.array(edges, np.uint64), drawn])
    threshold = round(rate * 2**16)
    for first, num_words in ((1, 32), (33, 40), (2**40, 3)):
        ours = draw_on_device(
            torch.from_numpy(streams_T.view(np.int64)), first, num_words, threshold
        )
        theirs = draw_on_host(streams_T, first, num_words, threshold)
        assert np.array_equal(ours.numpy(), theirs)


def test_a_mask_is_drawn_where_its_tokens_are() -> None:
    # a meta tensor computes its shape alone and refuses what lies elsewhere
    mask = made()(torch.ones(10, 8, device="meta", dtype=torch.bfloat16))
    assert (mask.device.type, mask.dtype, mask.shape) == ("meta", torch.bfloat16, (10, 8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_drops_what_a_processor_drops(dtype: torch.dtype) -> None:
    host, device = made(), made()
    for width in WIDTHS:
        ours = device.mask(torch.ones(10, width, device="cuda", dtype=dtype), width)
        assert torch.equal(ours.cpu(), host.mask(torch.ones(10, width, dtype=dtype), width))
