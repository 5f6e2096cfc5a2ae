"""Tokens of many slots, each multiplied by its own slot's matrices alone: every body alike."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from engine.ops.batched_gemm import find_batched_gemm
from engine.ops.grouped_product import (
    BlasProduct,
    GatheredProduct,
    GroupedProduct,
    PlainProduct,
    choose_product,
)
from engine.ops.segments import FixedSegments, Segments
from engine.ops.slot_matrices import SlotMatrices
from engine.ops.slot_stack import SlotMemory

IN, OUT, NUM_SLOTS = 16, 24, 40
CPU = torch.device("cpu")


def bodies() -> list[GroupedProduct]:
    gemm = find_batched_gemm()
    batched = [] if gemm is None else [BlasProduct(gemm)]
    return [PlainProduct(), *batched, GatheredProduct()]


BODIES = pytest.mark.parametrize("body", bodies(), ids=lambda body: type(body).__name__)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


class Weights:
    """Matrices of a rank for each slot; slots of rank 0 have none."""

    def __init__(
        self,
        ranks: dict[int, int],
        dtype: torch.dtype = torch.float32,
        device: torch.device = CPU,
    ) -> None:
        memory = SlotMemory(NUM_SLOTS, device)
        self.down = SlotMatrices(memory, IN, dtype)
        self.up = SlotMatrices(memory, OUT, dtype)
        torch.manual_seed(len(ranks))
        self.own: dict[int, tuple[Tensor, Tensor]] = {}
        for slot, rank in ranks.items():
            if rank:
                self.put(slot, torch.randn(rank, IN).to(dtype), torch.randn(rank, OUT).to(dtype))

    def put(self, slot: int, down: Tensor, up: Tensor) -> None:
        self.own[slot] = down, up
        self.down.put(slot, down)
        self.up.put(slot, up)

    def added(self, body: GroupedProduct, out: Tensor, x: Tensor, segments: Segments) -> Tensor:
        result = out.clone()
        body.expand(result, body.shrink(x, self.down, segments), self.up, segments)
        return result

    def alone(self, out: Tensor, x: Tensor, slots: list[int], counts: list[int]) -> Tensor:
        """The right answer in float64, one segment after the other."""
        parts = []
        for slot, x_t, out_t in zip(slots, x.split(counts), out.split(counts), strict=True):
            own = self.own.get(slot)
            added = 0 if own is None else (x_t.double() @ own[0].double().T) @ own[1].double()
            parts.append(out_t.double() + added)
        return torch.cat(parts)


def tokens(count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(count)
    return torch.randn(count, IN).to(dtype), torch.randn(count, OUT).to(dtype)


@pytest.mark.survival("D6")
@BODIES
@DTYPES
@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [2, 1, 3, 5], [4, 4, 4, 4]], ids=str)
@pytest.mark.parametrize("ranks", [[4, 4, 4, 4], [8, 16, 8, 3], [40, 0, 8, 1]], ids=str)
def test_every_token_gets_its_own_slots_product(
    body: GroupedProduct, dtype: torch.dtype, counts: list[int], ranks: list[int]
) -> None:
    is_float = isinstance(body, BlasProduct)
    slots = [7, 39, 1, 20]
    weights = Weights(dict(zip(slots, ranks, strict=True)), torch.float32 if is_float else dtype)
    x, out = tokens(sum(counts), dtype)
    segments = Segments(0, slots, counts)
    tolerance = 1e-4 if dtype == torch.float32 else 0.5
    torch.testing.assert_close(
        weights.added(body, out, x, segments).double(),
        weights.alone(out, x, slots, counts),
        atol=tolerance,
        rtol=tolerance / 10,
    )


@pytest.mark.survival("D5")
@BODIES
@pytest.mark.parametrize("hostile", [3e38, float("inf"), float("nan")], ids=str)
@pytest.mark.parametrize("counts", [[1, 1, 1], [2, 3, 2]], ids=str)
def test_what_one_slots_weights_make_reaches_no_others_tokens(
    body: GroupedProduct, hostile: float, counts: list[int]
) -> None:
    slots, weights = [3, 4, 5], Weights({3: 8, 4: 8, 5: 16})
    x, out = tokens(sum(counts), torch.float32)
    segments = Segments(0, slots, counts)
    before = weights.added(body, out, x.abs(), segments)
    weights.put(4, torch.full((8, IN), hostile), torch.full((8, OUT), hostile))
    after = weights.added(body, out, x.abs(), segments)
    start, stop = counts[0], counts[0] + counts[1]
    assert not torch.isfinite(after[start:stop]).any()
    for part in (slice(0, start), slice(stop, None)):
        assert torch.equal(after[part], before[part])


@BODIES
def test_a_slot_holds_what_was_put_last_whatever_its_rank_was_before(body: GroupedProduct) -> None:
    weights = Weights({})
    x, out = tokens(3, torch.float32)
    segments = Segments(0, [9], [3])
    for rank in (8, 16, 4, 8, 64, 2):
        weights.put(9, torch.randn(rank, IN), torch.randn(rank, OUT))
        torch.testing.assert_close(
            weights.added(body, out, x, segments).double(),
            weights.alone(out, x, [9], [3]),
            atol=1e-3,
            rtol=1e-4,
        )


def test_matrices_stay_at_their_addresses_while_others_come_and_go() -> None:
    weights = Weights({5: 8})
    address, content = int(weights.down.addresses_S[5]), weights.down[5].clone()
    for slot, rank in itertools.product((1, 2, 39), (8, 16, 4)):
        weights.put(slot, torch.randn(rank, IN), torch.randn(rank, OUT))
    weights.down.remove(2)
    assert weights.down[5].data_ptr() == address
    assert torch.equal(weights.down[5], content)


def test_segments_in_a_tensor_follow_its_numbers() -> None:
    slots = torch.tensor([7, 0, 9, 3])
    segments, body = FixedSegments(slots), GatheredProduct()
    weights = Weights({7: 8, 9: 16, 3: 8})
    x, out = tokens(4, torch.float32)
    for _ in range(3):
        torch.testing.assert_close(
            weights.added(body, out, x, segments).double(),
            weights.alone(out, x, slots.tolist(), [1] * 4),
            atol=1e-4,
            rtol=1e-4,
        )
        slots.copy_(slots.roll(1))


def test_tokens_of_a_slot_without_a_matrix_keep_their_outputs_bit_for_bit() -> None:
    weights = Weights({4: 8})
    x, out = tokens(4, torch.float32)
    for body in bodies():
        result = weights.added(body, out, x, Segments(0, [4, 6], [2, 2]))
        assert torch.equal(result[2:], out[2:])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [2, 1, 30, 5]], ids=str)
@DTYPES
def test_a_device_gives_every_token_its_own_slots_product(
    dtype: torch.dtype, counts: list[int]
) -> None:
    device = torch.device("cuda:0")
    body, product_dtype = choose_product(device, dtype)
    slots, ranks = [7, 39, 1, 20], [8, 16, 8, 40]
    weights = Weights(dict(zip(slots, ranks, strict=True)), product_dtype, device)
    x, out = tokens(sum(counts), dtype)
    added = weights.added(body, out.to(device), x.to(device), Segments(0, slots, counts))
    tolerance = 1e-3 if dtype == torch.float32 else 0.5
    torch.testing.assert_close(
        added.cpu().double(),
        weights.alone(out, x, slots, counts),
        atol=tolerance,
        rtol=tolerance / 10,
    )
