"""The slot table, example by example; `test_slots_machine.py` tries everything else."""

from __future__ import annotations

import pytest

from server.dispatch.slots import SlotsExhausted, SlotTable


def sizes(digests: str) -> dict[str, int]:
    return dict.fromkeys(digests, 10)


def test_a_new_digest_is_placed_in_the_first_free_slot_and_slot_zero_stays_the_bare_base() -> None:
    placement = SlotTable(4, 100).place(sizes("ab"))
    assert placement.slots == {"a": 1, "b": 2}
    assert placement.placed == ["a", "b"]


def test_a_placed_digest_is_leased_without_placing_it_again() -> None:
    table = SlotTable(4, 100)
    table.place(sizes("a"))
    again = table.acquire("a", 10)
    assert (again.slots, again.placed, table.num_leases) == ({"a": 1}, [], 1)


def test_the_least_recently_used_digest_makes_room() -> None:
    table = SlotTable(2, 100)
    for digest in "aba":
        table.place(sizes(digest))
    placement = table.place(sizes("c"))
    assert (placement.slots, placement.num_swapped) == ({"c": 2}, 1)
    assert table.placed == {1: "a", 2: "c"}


def test_a_leased_digest_never_makes_room() -> None:
    table = SlotTable(2, 100)
    table.acquire("a", 10)
    table.place(sizes("b"))
    assert table.place(sizes("c")).slots == {"c": 2}


def test_a_batch_may_take_the_slots_of_one_that_still_runs() -> None:
    table = SlotTable(2, 100)
    table.place(sizes("ab"))
    assert table.place(sizes("cd")).slots == {"c": 1, "d": 2}


@pytest.mark.survival("E5")
def test_a_batch_that_does_not_fit_changes_nothing() -> None:
    table = SlotTable(2, 100)
    table.acquire("a", 10)
    table.place(sizes("b"))
    with pytest.raises(SlotsExhausted, match=r"2 adapters \(20 bytes\) need a slot"):
        table.place(sizes("cd"))
    assert (table.placed, table.num_leases) == ({1: "a", 2: "b"}, 1)


def test_what_a_batch_itself_asks_for_is_not_evicted_to_make_room_for_it() -> None:
    table = SlotTable(2, 100)
    table.place(sizes("ab"))
    assert table.place(sizes("ca")).slots == {"a": 1, "c": 2}


def test_the_byte_budget_evicts_too() -> None:
    table = SlotTable(8, 25)
    for digest in "abc":
        table.place(sizes(digest))
    assert set(table.placed.values()) == {"b", "c"}
    assert table.num_bytes == 20


def test_an_adapter_larger_than_the_budget_is_refused() -> None:
    table = SlotTable(8, 25)
    assert not table.fits({"a": 26})
    with pytest.raises(SlotsExhausted):
        table.place({"a": 26})


def test_fits_says_beforehand_what_place_would_do() -> None:
    table = SlotTable(1, 100)
    table.acquire("a", 10)
    assert not table.fits(sizes("b"))
    table.release("a")
    assert table.fits(sizes("b"))


def test_a_lease_cannot_be_given_back_twice() -> None:
    table = SlotTable(1, 100)
    table.acquire("a", 10)
    table.release("a")
    with pytest.raises(AssertionError, match="more often than acquired"):
        table.release("a")


def test_forgetting_an_unleased_digest_frees_its_slot() -> None:
    table = SlotTable(2, 100)
    table.place(sizes("a"))
    assert table.forget("a") == 1
    assert table.placed == {}


def test_forgetting_a_leased_or_unknown_digest_does_nothing() -> None:
    table = SlotTable(2, 100)
    table.acquire("a", 10)
    assert table.forget("a") is None
    assert table.forget("b") is None
    assert table.placed == {1: "a"}


def test_a_cleared_table_is_empty_and_whole_again() -> None:
    table = SlotTable(1, 100)
    table.acquire("a", 10)
    table.clear()
    assert (table.placed, table.num_leases, table.num_bytes) == ({}, 0, 0)
    assert table.place(sizes("b")).slots == {"b": 1}
