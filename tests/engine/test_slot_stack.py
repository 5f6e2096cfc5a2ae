"""On a device, memory follows what the slots hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.adapters.slot_pool import SlotPool
from engine.ops.grouped_product import BlasProduct, GatheredProduct, PlainProduct
from engine.ops.segments import Segments
from engine.ops.slot_matrices import SlotMatrices
from engine.ops.slot_stack import SlotMemory, SlotStack
from engine.sites.effect import Effect, LowRank
from tests.engine.test_grouped_product import bodies

CPU = torch.device("cpu")
WIDTH, NUM_SLOTS = 16, 1000
PLACE_BYTES = 4 * 8 * WIDTH


def matrix(number: int) -> Tensor:
    return torch.full((8, WIDTH), float(number))


def arrive(pool: SlotPool, slot: int, rank: int = 8, head: Any = None) -> None:
    weight = torch.full((rank, WIDTH), float(slot))
    effects = {"site": Effect(product=LowRank(down_KI=weight, up_KO=weight))}
    head = head or SimpleNamespace(key=None)
    weights = {name: torch.zeros(shape) for name, shape in getattr(head, "shapes", {}).items()}
    pool.put(slot, "lora", None, effects, head, weights)


def make_head(num_labels: int) -> Any:
    shapes = {"out.weight": (num_labels, WIDTH), "out.bias": (num_labels,)}
    return SimpleNamespace(key=num_labels, layers=(), shapes=shapes)


def test_one_adapter_takes_no_memory_for_the_slots_that_are_empty() -> None:
    pool = SlotPool(NUM_SLOTS, torch.float32, CPU, num_bytes=10**9)
    arrive(pool, 700)
    assert pool.num_bytes <= 2 * 5 * PLACE_BYTES


def test_a_place_that_a_slot_leaves_is_the_next_ones() -> None:
    stack = SlotStack(SlotMemory(NUM_SLOTS, CPU, 10**9), (2,), torch.float32)
    for slot in range(1, NUM_SLOTS):
        stack.take_place(slot)
        stack.leave_place(slot)
    assert len(stack.values) == 5


@pytest.mark.survival("D6")
@pytest.mark.parametrize("body", bodies(), ids=lambda body: type(body).__name__)
def test_every_slot_reads_its_own_matrix_however_often_a_bucket_moved(
    body: PlainProduct | BlasProduct | GatheredProduct,
) -> None:
    matrices = SlotMatrices(SlotMemory(NUM_SLOTS, CPU, 10**9), WIDTH, torch.float32)
    for slot in range(1, 40):
        matrices.put(slot, matrix(slot))
    for slot in range(1, 40, 3):
        matrices.remove(slot)
    matrices.shrink()
    slots = [38, 2, 20, 39]
    out = body.shrink(torch.ones(4, WIDTH), matrices, Segments(0, slots, [1] * 4))
    assert out[:, 0].tolist() == [WIDTH * slot for slot in slots]


def test_a_group_whose_tensors_moved_has_a_new_version() -> None:
    pool = SlotPool(NUM_SLOTS, torch.float32, CPU, num_bytes=10**9)
    versions = []
    for slot in range(1, 6):
        arrive(pool, slot)
        versions.append(pool.groups["lora"].version)
    assert versions[:4] == [versions[0]] * 4
    assert versions[4] > versions[3]


@pytest.mark.survival("E4")
def test_a_group_that_moved_in_part_has_a_new_version_and_an_empty_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, moves = SlotPool(NUM_SLOTS, torch.float32, CPU, num_bytes=10**9), list[int]()
    for slot in range(1, 5):
        arrive(pool, slot)
    before, move = pool.groups["lora"].version, SlotStack._move

    def move_once(self: SlotStack, num_places: int) -> None:
        moves.append(num_places)
        if len(moves) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        move(self, num_places)

    with monkeypatch.context() as patch:
        patch.setattr(SlotStack, "_move", move_once)
        with pytest.raises(torch.OutOfMemoryError):
            arrive(pool, 5)
    assert pool.groups["lora"].version > before
    assert not pool.groups["lora"].sites["site"].acts_S[5]
    arrive(pool, 5)


def test_room_that_other_ranks_left_is_given_back_when_memory_is_short() -> None:
    pool = SlotPool(NUM_SLOTS, torch.float32, CPU, num_bytes=100 * PLACE_BYTES)
    for rank in (8, 16, 32, 64):
        for slot in range(1, 1 + 256 // rank):
            arrive(pool, slot, rank)
        for slot in range(1, 1 + 256 // rank):
            pool.remove(slot)
        assert pool.num_bytes <= 2 * 100 * PLACE_BYTES


def test_heads_of_many_numbers_of_labels_do_not_pile_up() -> None:
    pool = SlotPool(NUM_SLOTS, torch.float32, CPU, num_bytes=100 * PLACE_BYTES)
    for num_labels in range(2, 200):
        arrive(pool, 1, head=make_head(num_labels))
    assert pool.num_bytes <= 2 * 100 * PLACE_BYTES
