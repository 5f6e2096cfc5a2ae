"""After any load, place, predict, evict, unload: what is held is what was asked, and no more."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import port
from engine.ops.slot_matrices import SlotMatrices
from tests.contracts.cases import VARIANTS, Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

CASE = Case("bert", "lora", "classify", "native")
VERBS = st.sampled_from(["load", "place", "evict", "unload"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(st.tuples(VERBS, st.integers(0, 3), st.integers(1, 4)), max_size=25))
def test_the_engine_holds_what_a_model_of_it_holds(
    make_engine: Callable[..., EngineUnderTest], moves: list[tuple[str, int, int]]
) -> None:
    under_test = make_engine("bert", num_slots=4)
    directory = under_test.write(under_test.adapter(CASE))
    inspected = under_test.ask(port.Inspect(directory=str(directory)))
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    loaded: set[str] = set()
    placed: dict[int, str] = {}
    for verb, which, slot in moves:
        digest = f"d{which}"
        if verb == "load":
            under_test.ask(port.Load(digest=digest, semantics=inspected.semantics, files=files))
            loaded.add(digest)
        elif verb == "unload":
            under_test.ask(port.Unload(digest=digest))
            loaded.discard(digest)
            placed = {s: d for s, d in placed.items() if d != digest}
        elif verb == "evict":
            under_test.ask(port.Evict(slots=[slot]))
            placed.pop(slot, None)
        elif digest in loaded:
            under_test.ask(
                port.Predict(rows=[port.Row.of(ids=ROWS[0], slot=slot)], place={slot: digest})
            )
            placed[slot] = digest
        held = under_test.ask(port.Stats())
        assert set(held.loaded) == loaded
        assert held.placed == placed
        assert under_test.engine._resident.num_bytes == sum(held.loaded.values())
    for which in range(4):
        under_test.ask(port.Unload(digest=f"d{which}"))
    assert under_test.ask(port.Stats()).loaded == {}


@pytest.mark.survival("E4")
def test_unloading_gives_every_tensor_back(make_engine: Callable[..., EngineUnderTest]) -> None:
    under_test = make_engine("bert")
    digest = under_test.load(under_test.adapter(CASE))
    under_test.answers([(ROWS[0], digest)])
    gc.collect()
    before = _tensors()
    other = under_test.load(under_test.adapter(CASE, seed=2))
    under_test.answers([(ROWS[0], other), (ROWS[1], digest)])
    under_test.ask(port.Unload(digest=other))
    gc.collect()
    assert _tensors() <= before


def test_closing_a_training_slot_gives_it_back(make_engine: Callable[..., EngineUnderTest]) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE)
    under_test.train(CASE, slot, steps=1)
    under_test.ask(port.CloseTraining(slot=slot))
    assert under_test.ask(port.Stats()).training == []
    assert under_test.refusal(port.Snapshot(slot=slot)).code == "not_loaded"


def _tensors() -> int:
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_slot_is_replaced_by_placing_into_it(
    make_engine: Callable[..., EngineUnderTest], variant: str
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", variant, "classify", "mean")
    first, second = (
        under_test.load(under_test.adapter(case)),
        under_test.load(under_test.adapter(case, seed=9)),
    )
    one, two = under_test.answers([(ROWS[0], first)])[0], under_test.answers([(ROWS[0], second)])[0]
    assert not (one == two).any()
    assert (under_test.answers([(ROWS[0], first)])[0] == one).all()


@pytest.mark.survival("E4")
def test_an_adapter_that_the_device_has_no_memory_for_fails_its_own_rows_alone(
    make_engine: Callable[..., EngineUnderTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    resident, larger = under_test.engine._resident, under_test.adapter(CASE, seed=2, rank=16)
    sound, too_large = under_test.load(under_test.adapter(CASE)), under_test.load(larger)
    (before,) = under_test.answers([(ROWS[0], sound)])
    put = SlotMatrices.put

    def put_small(self: SlotMatrices, slot: int, matrix: torch.Tensor) -> bool:
        if len(matrix) == 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return put(self, slot, matrix)

    with monkeypatch.context() as patch:
        patch.setattr(SlotMatrices, "put", put_small)
        good, refused = under_test.predict([(ROWS[0], sound), (ROWS[1], too_large)])
    assert isinstance(refused, port.Failure)
    assert refused.code == "out_of_memory"
    assert isinstance(good, np.ndarray)
    np.testing.assert_allclose(good, before, atol=1e-5)
    assert list(resident.digests.values()) == [sound]
    # with memory there again it is placed and answers
    assert len(under_test.answers([(ROWS[0], sound), (ROWS[1], too_large)])) == 2
