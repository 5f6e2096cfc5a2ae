"""After any load, place, predict, evict, unload: what is held is what was asked, and no more."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import port
from tests.contracts.bench import ROWS, Bench
from tests.contracts.cases import VARIANTS, Case

CASE = Case("bert", "lora", "classify", "native")
VERBS = st.sampled_from(["load", "place", "evict", "unload"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(st.tuples(VERBS, st.integers(0, 3), st.integers(1, 4)), max_size=25))
def test_the_engine_holds_what_a_model_of_it_holds(
    bench: Callable[..., Bench], moves: list[tuple[str, int, int]]
) -> None:
    table = bench("bert", num_slots=4)
    directory = table.write(table.adapter(CASE))
    inspected = table.ask(port.Inspect(directory=str(directory)))
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    loaded: set[str] = set()
    placed: dict[int, str] = {}
    for verb, which, slot in moves:
        digest = f"d{which}"
        if verb == "load":
            table.ask(port.Load(digest=digest, semantics=inspected.semantics, files=files))
            loaded.add(digest)
        elif verb == "unload":
            table.ask(port.Unload(digest=digest))
            loaded.discard(digest)
            placed = {s: d for s, d in placed.items() if d != digest}
        elif verb == "evict":
            table.ask(port.Evict(slots=[slot]))
            placed.pop(slot, None)
        elif digest in loaded:
            table.ask(port.Predict(rows=[port.Row(ids=ROWS[0], slot=slot)], place={slot: digest}))
            placed[slot] = digest
        held = table.ask(port.Stats())
        assert set(held.loaded) == loaded
        assert held.placed == placed
    for which in range(4):
        table.ask(port.Unload(digest=f"d{which}"))
    assert table.ask(port.Stats()).loaded == {}


@pytest.mark.survival("E4")
def test_unloading_gives_every_tensor_back(bench: Callable[..., Bench]) -> None:
    table = bench("bert")
    digest = table.load(table.adapter(CASE))
    table.answers([(ROWS[0], digest)])
    gc.collect()
    before = _tensors()
    other = table.load(table.adapter(CASE, seed=2))
    table.answers([(ROWS[0], other), (ROWS[1], digest)])
    table.ask(port.Unload(digest=other))
    gc.collect()
    assert _tensors() <= before


def test_closing_a_training_slot_gives_it_back(bench: Callable[..., Bench]) -> None:
    table = bench("bert")
    slot = table.open(CASE)
    table.train(CASE, slot, steps=1)
    table.ask(port.CloseTraining(slot=slot))
    assert table.ask(port.Stats()).training == []
    assert table.refusal(port.Snapshot(slot=slot)).code == "not_loaded"


def _tensors() -> int:
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_slot_is_replaced_by_placing_into_it(bench: Callable[..., Bench], variant: str) -> None:
    table = bench("bert")
    case = Case("bert", variant, "classify", "mean")
    first, second = table.load(table.adapter(case)), table.load(table.adapter(case, seed=9))
    one, two = table.answers([(ROWS[0], first)])[0], table.answers([(ROWS[0], second)])[0]
    assert not (one == two).any()
    assert (table.answers([(ROWS[0], first)])[0] == one).all()
