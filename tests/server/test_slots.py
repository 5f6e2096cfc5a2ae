"""The slot table, example by example; `test_slots_machine.py` tries everything else."""

from __future__ import annotations

import pytest

from server.dispatch.slots import SlotsExhausted, SlotTable

SIZES = dict.fromkeys("abcdef", 10)


def test_a_new_digest_is_placed_in_the_first_free_slot_and_slot_zero_stays_the_bare_base() -> None:
    placement = SlotTable(4, 100).acquire(["a", "b"], SIZES)
    assert placement.slots == {"a": 1, "b": 2}
    assert placement.place == {1: "a", 2: "b"}


def test_a_placed_digest_is_leased_again_without_placing_it_again() -> None:
    table = SlotTable(4, 100)
    table.acquire(["a"], SIZES)
    again = table.acquire(["a"], SIZES)
    assert (again.slots, again.place, table.num_leases) == ({"a": 1}, {}, 2)


def test_a_digest_asked_for_twice_in_one_batch_takes_one_slot_and_one_lease() -> None:
    table = SlotTable(4, 100)
    assert table.acquire(["a", "a"], SIZES).slots == {"a": 1}
    assert table.num_leases == 1


def test_the_least_recently_used_digest_makes_room() -> None:
    table = SlotTable(2, 100)
    for digest in ("a", "b", "a"):
        table.acquire([digest], SIZES)
        table.release(digest)
    assert table.acquire(["c"], SIZES).place == {2: "c"}
    assert table.placed == {1: "a", 2: "c"}


def test_a_leased_digest_never_makes_room() -> None:
    table = SlotTable(2, 100)
    table.acquire(["a"], SIZES)
    table.acquire(["b"], SIZES)
    table.release("b")
    assert table.acquire(["c"], SIZES).place == {2: "c"}


@pytest.mark.survival("E5")
def test_a_batch_that_does_not_fit_changes_nothing() -> None:
    table = SlotTable(2, 100)
    table.acquire(["a"], SIZES)
    table.acquire(["b"], SIZES)
    table.release("b")
    with pytest.raises(SlotsExhausted, match="2 adapters need a slot, and the 2 slots"):
        table.acquire(["c", "d"], SIZES)
    assert (table.placed, table.num_leases) == ({1: "a", 2: "b"}, 1)


def test_what_a_batch_itself_asks_for_is_not_evicted_to_make_room_for_it() -> None:
    table = SlotTable(2, 100)
    for digest in ("a", "b"):
        table.acquire([digest], SIZES)
        table.release(digest)
    assert table.acquire(["a", "c"], SIZES).slots == {"a": 1, "c": 2}


def test_the_byte_budget_evicts_too() -> None:
    table = SlotTable(8, 25)
    for digest in ("a", "b", "c"):
        table.acquire([digest], SIZES)
        table.release(digest)
    assert set(table.placed.values()) == {"b", "c"}
    assert table.num_bytes == 20


def test_an_adapter_larger_than_the_budget_is_refused() -> None:
    table = SlotTable(8, 25)
    assert not table.fits(["a"], {"a": 26})
    with pytest.raises(SlotsExhausted):
        table.acquire(["a"], {"a": 26})


def test_fits_says_beforehand_what_acquire_would_do() -> None:
    table = SlotTable(1, 100)
    assert table.fits(["a"], SIZES)
    table.acquire(["a"], SIZES)
    assert not table.fits(["b"], SIZES)
    table.release("a")
    assert table.fits(["b"], SIZES)


def test_a_lease_cannot_be_given_back_twice() -> None:
    table = SlotTable(1, 100)
    table.acquire(["a"], SIZES)
    table.release("a")
    with pytest.raises(AssertionError, match="more often than acquired"):
        table.release("a")


def test_forgetting_an_unleased_digest_frees_its_slot() -> None:
    table = SlotTable(2, 100)
    table.acquire(["a"], SIZES)
    table.release("a")
    assert table.forget("a") == 1
    assert table.placed == {}


def test_forgetting_a_leased_or_unknown_digest_does_nothing() -> None:
    table = SlotTable(2, 100)
    table.acquire(["a"], SIZES)
    assert table.forget("a") is None
    assert table.forget("b") is None
    assert table.placed == {1: "a"}


def test_a_cleared_table_is_empty_and_whole_again() -> None:
    table = SlotTable(1, 100)
    table.acquire(["a"], SIZES)
    table.clear()
    assert (table.placed, table.num_leases) == ({}, 0)
    assert table.acquire(["b"], SIZES).place == {1: "b"}
