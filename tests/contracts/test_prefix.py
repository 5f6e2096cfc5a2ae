"""Frozen activations: filled once in fixed chunks, shared, and never what changes an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import port
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest, targets
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]
CASE = Case("bert", "lora", "classify", "native")
TOP = {"rank": 4, "layers": 1}
KEYS = list(range(len(ROWS)))


def answers(under_test: EngineUnderTest, slot: int, *, keyed: bool) -> list[Any]:
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    found = under_test.ask(port.Predict(rows=rows, keys=KEYS if keyed else [])).rows
    return [row.numpy() for row in found]


def held(under_test: EngineUnderTest) -> int:
    return int(under_test.ask(port.Stats()).cache_bytes)


def forwards(under_test: EngineUnderTest, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """First and past-last layer of every forward from now on."""
    ranges: list[tuple[int, int]] = []
    run = under_test.base.run_layers

    def noting(batch: Any, start: int, stop: int, *more: Any) -> Any:
        ranges.append((start, stop))
        return run(batch, start, stop, *more)

    monkeypatch.setattr(under_test.base, "run_layers", noting)
    return ranges


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_slot_answers_the_same_bits_from_what_was_filled(
    make_engine: MakeBench, family: str, packed: bool
) -> None:
    under_test = make_engine(family, packed=packed)
    case = Case(family, "lora", "classify", "native")
    slot = under_test.open(case, kind_config=TOP)
    under_test.fill(slot)
    under_test.train(case, slot, steps=3)
    for ours, oracle in zip(
        answers(under_test, slot, keyed=True), answers(under_test, slot, keyed=False), strict=True
    ):
        np.testing.assert_array_equal(ours, oracle)


def test_rows_that_were_filled_start_at_the_lowest_trained_layer(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, kind_config=TOP)
    under_test.fill(slot)
    ranges = forwards(under_test, monkeypatch)
    under_test.train(CASE, slot, steps=1)
    answers(under_test, slot, keyed=True)
    assert ranges == [(2, 3), (2, 3)]


def test_trainings_of_one_dataset_fill_it_once(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    first, second = (under_test.open(CASE, kind_config=TOP, cache="rows", seed=s) for s in (1, 2))
    under_test.fill(first)
    ranges = forwards(under_test, monkeypatch)
    under_test.fill(second)
    assert ranges == []


def test_trainings_of_another_dataset_share_nothing(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    slots = [under_test.open(CASE, kind_config=TOP, cache=name) for name in ("a", "b", None, None)]
    ranges = forwards(under_test, monkeypatch)
    for slot in slots:
        under_test.fill(slot)
    assert ranges == [(0, 2)] * 4


def test_a_dataset_stays_for_the_next_training_until_it_is_forgotten(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, kind_config=TOP, cache="rows")
    under_test.fill(slot)
    under_test.ask(port.CloseTraining(slot=slot))
    assert held(under_test) > 0
    under_test.ask(port.Forget(cache="rows"))
    assert held(under_test) == 0


def test_what_is_forgotten_while_it_is_used_goes_with_its_last_user(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, kind_config=TOP, cache="rows")
    under_test.fill(slot)
    under_test.ask(port.Forget(cache="rows"))
    assert held(under_test) > 0
    under_test.ask(port.CloseTraining(slot=slot))
    assert held(under_test) == 0


def test_a_slots_own_activations_go_with_it(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, kind_config=TOP)
    under_test.fill(slot)
    assert held(under_test) > 0
    under_test.ask(port.CloseTraining(slot=slot))
    assert held(under_test) == 0


def test_the_bits_that_are_kept_do_not_depend_on_which_rows_were_trained_before(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    plain, later = (under_test.open(CASE, kind_config=TOP) for _ in range(2))
    under_test.train(CASE, later, steps=1, rate=0.0)  # on rows that nothing was filled of
    for slot in (plain, later):
        under_test.fill(slot)
    for ours, oracle in zip(
        answers(under_test, later, keyed=True), answers(under_test, plain, keyed=True), strict=True
    ):
        np.testing.assert_array_equal(ours, oracle)


def test_rows_of_other_lengths_under_known_keys_are_refused(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, kind_config=TOP)
    under_test.fill(slot)
    rows = [port.Row.of(ids=[*ids, 2], slot=slot) for ids in ROWS]
    refusal = under_test.refusal(port.Predict(rows=rows, keys=KEYS))
    assert refusal.code == "bad_training"
    assert "the row of key 1 has 4 tokens; what was filled has 3" in refusal.message


def test_keys_name_the_rows_of_one_training_slot(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    rows = [port.Row.of(ids=ROWS[0], slot=under_test.open(CASE)) for _ in range(2)]
    assert "1 keys came with 2 rows of 2 slots" in under_test.refusal(
        port.Predict(rows=rows, keys=[0])
    ).message  # fmt: skip


def frozen(under_test: EngineUnderTest, slot: int, below: int | None, number: int = 0) -> port.Step:
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    return port.Train(
        slot=slot, rows=rows, keys=KEYS, targets=targets(CASE), learning_rate=0.01, step=number,
        frozen_below=below,
    )  # fmt: skip


def weights(under_test: EngineUnderTest, slot: int) -> dict[str, torch.Tensor]:
    tensors = under_test.engine._trainings[slot].adapter.tensors
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def test_adapters_of_frozen_layers_stay_as_they_are(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE, weight_decay=0.5)
    before = weights(under_test, slot)
    for number in range(2):
        under_test.ask(frozen(under_test, slot, 2, number))
    moved = {n for n, t in weights(under_test, slot).items() if not torch.equal(t, before[n])}
    assert moved == {n for n in before if "layer.0." not in n and "layer.1." not in n}


@pytest.mark.parametrize("variant", ["lora", "dora", "bottleneck", "pfeiffer", "ia3", "bias"])
def test_a_frozen_step_is_the_step_of_an_adapter_in_the_upper_layers_alone(
    make_engine: MakeBench, variant: str
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", variant, "classify", "native")
    whole = under_test.open(case)
    upper = under_test.open(case, kind_config={**case.kind_settings, "layers": [2]})
    training = under_test.engine._trainings
    with torch.no_grad():
        for name, tensor in training[upper].adapter.tensors.items():
            tensor.copy_(training[whole].adapter.tensors[name])
    for number in range(3):
        ours, oracle = (
            under_test.ask(frozen(under_test, slot, below, number)).loss
            for slot, below in ((whole, 2), (upper, None))
        )
        assert ours == oracle


def test_layers_thaw_from_the_top_and_the_boundary_moves_with_them(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE)
    ranges = forwards(under_test, monkeypatch)
    for below in (3, 2, 0):
        under_test.fill(slot, frozen_below=below)
        under_test.ask(frozen(under_test, slot, below))
        answers(under_test, slot, keyed=True)
    computed, thawed = [(0, 3), (0, 2)], [(3, 3), (3, 3), (2, 3), (2, 3), (0, 3), (0, 3)]
    assert ranges == [computed[0], *thawed[:2], computed[1], *thawed[2:]]


def test_a_higher_boundary_is_computed_from_a_lower_one_that_is_held(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    low = under_test.open(CASE, kind_config={"rank": 4, "layers": [1, 2]}, cache="rows")
    under_test.fill(low)
    high, alone = (
        under_test.open(CASE, kind_config={"rank": 4, "layers": [2]}, cache=name)
        for name in ("rows", None)
    )
    ranges = forwards(under_test, monkeypatch)
    under_test.fill(high)
    assert ranges == [(1, 2)]
    under_test.fill(alone)
    for ours, oracle in zip(
        answers(under_test, high, keyed=True), answers(under_test, alone, keyed=True), strict=True
    ):
        np.testing.assert_array_equal(ours, oracle)


def test_a_layer_that_was_trained_can_no_longer_be_frozen(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE)
    under_test.ask(frozen(under_test, slot, 1))
    refusal = under_test.refusal(frozen(under_test, slot, 2))
    assert refusal.code == "bad_training"
    assert "frozen_below is 2 and layer 1 was trained already" in refusal.message


def test_a_training_that_goes_on_still_knows_what_was_trained(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(CASE)
    under_test.ask(frozen(under_test, slot, 1))
    under_test.ask(port.Checkpoint(slot=slot, directory=str(tmp_path / "kept")))
    on = under_test.open(CASE, resume=str(tmp_path / "kept"))
    under_test.ask(frozen(under_test, on, 1, 1))
    assert "layer 1 was trained already" in under_test.refusal(frozen(under_test, on, 2, 2)).message


def test_a_base_whose_layers_are_one_freezes_none(make_engine: MakeBench) -> None:
    under_test = make_engine("albert")
    slot = under_test.open(Case("albert", "lora", "classify", "native"))
    message = under_test.refusal(frozen(under_test, slot, 1)).message
    assert "layers of the albert family cannot be run apart" in message


@pytest.mark.parametrize("below", [-1, 4])
def test_a_layer_that_the_base_does_not_have_is_no_boundary(
    make_engine: MakeBench, below: int
) -> None:
    under_test = make_engine("bert")
    message = under_test.refusal(frozen(under_test, under_test.open(CASE), below)).message
    assert f"frozen_below is {below}; the base has layers 0 to 2" in message


def test_freezing_everything_there_is_leaves_nothing_to_train(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "embed", "mean")
    message = under_test.refusal(frozen(under_test, under_test.open(case), 3)).message
    assert "the head embed has no weights: nothing is left to train" in message


def test_one_row_per_forward_is_also_how_an_exact_engine_fills(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert", exact=True)
    slot = under_test.open(CASE, kind_config=TOP)
    ranges = forwards(under_test, monkeypatch)
    under_test.fill(slot)
    assert ranges == [(0, 2)] * len(ROWS)
