"""Training moves adapter and head and nothing else, on the same path that serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import port
from engine.training.training import Training
from tests.contracts.bench import ROWS, Bench
from tests.contracts.cases import Case, params
from tests.contracts.tiny import BASES

MakeBench = Callable[..., Bench]


@pytest.mark.parametrize("case", params())
def test_a_fresh_adapter_changes_nothing(bench: MakeBench, case: Case) -> None:
    table = bench(case.family)
    with_adapter = table.adapter(case, scale=0.0)
    digest = table.load(with_adapter)
    bare = replace(with_adapter, kind="head_only", config={"sites": []}, weights={})
    oracle = table.load(bare)
    for ids in ROWS:
        ours, expected = table.answers([(ids, digest)])[0], table.answers([(ids, oracle)])[0]
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("case", params())
def test_training_lowers_the_loss_and_leaves_the_base_untouched(
    bench: MakeBench, case: Case
) -> None:
    table = bench(case.family)
    before = {name: p.clone() for name, p in table.base.model.named_parameters()}
    slot = table.open(case)
    losses = table.train(case, slot, steps=1, rate=0.01)
    while losses[-1] >= losses[0] * 0.85:
        assert len(losses) < 60
        losses += table.train(case, slot, steps=4, rate=0.01)
    for name, parameter in table.base.model.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name]), name
    assert not table.base.model.training
    table.ask(port.CloseTraining(slot=slot))


@pytest.mark.parametrize("case", params())
def test_every_trained_tensor_moves(bench: MakeBench, case: Case, tmp_path: Path) -> None:
    table = bench(case.family)
    slot = table.open(case)
    table.train(case, slot, steps=3)
    assert table.ask(port.Save(slot=slot, directory=str(tmp_path))).unmoved == []


@pytest.mark.parametrize("case", params())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_answers_bit_for_bit_what_was_trained(
    bench: MakeBench, case: Case, dtype: str, tmp_path: Path
) -> None:
    table = bench(case.family, dtype=dtype)
    slot = table.open(case)
    table.train(case, slot, steps=3)
    trained = table.ask(port.Predict(rows=[port.Row(ids=ids, slot=slot) for ids in ROWS])).rows
    saved = table.ask(port.Save(slot=slot, directory=str(tmp_path)))
    digest = table.load(tmp_path, saved.semantics["head"])
    reloaded = table.answers([(ids, digest) for ids in ROWS])
    for before, after in zip(trained, reloaded, strict=True):
        np.testing.assert_array_equal(before.numpy(), after)


@pytest.mark.parametrize("family", sorted(BASES))
def test_cached_activations_train_exactly_what_recomputed_ones_do(
    bench: MakeBench, family: str
) -> None:
    table = bench(family)
    case = Case(family, "lora", "classify", "native")
    settings = {"rank": 4, "layers": 1}
    cached = table.open(case, kind_config=settings, dropout=0.1, head_dropout=0.1)
    fresh = table.open(case, kind_config=settings, dropout=0.1, head_dropout=0.1, cache_bytes=0)
    table.fill(cached)
    assert table.train(case, cached, steps=6) == table.train(case, fresh, steps=6)
    assert (table.ask(port.Stats()).cache_bytes > 0) == table.base.family.ranged


def test_restoring_goes_back_to_the_snapshot(bench: MakeBench) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = table.open(case)
    rows = [port.Row(ids=ids, slot=slot) for ids in ROWS]
    table.train(case, slot, steps=2)
    table.ask(port.Snapshot(slot=slot))
    best = table.ask(port.Predict(rows=rows)).rows
    table.train(case, slot, steps=5)
    assert table.ask(port.Predict(rows=rows)).rows != best
    table.ask(port.Restore(slot=slot))
    assert table.ask(port.Predict(rows=rows)).rows == best


def test_one_seed_trains_one_adapter_whatever_else_is_training(bench: MakeBench) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "classify", "native")
    alone = table.open(case, dropout=0.2)
    losses = table.train(case, alone, steps=4)
    first, other = table.open(case, dropout=0.2), table.open(case, seed=99, dropout=0.5)
    beside = []
    for number in range(4):
        beside += _one_step(table, case, first, number)
        _one_step(table, case, other, number)
    assert beside == losses


def _one_step(table: Bench, case: Case, slot: int, number: int) -> list[float]:
    from tests.contracts.bench import targets

    rows = [port.Row(ids=ids, slot=slot) for ids in ROWS]
    step = port.Train(
        slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
        learning_rate=0.01, step=number,
    )  # fmt: skip
    return [table.ask(step).loss]


def test_a_training_slot_that_diverged_changes_no_bit_of_the_rows_beside_it(
    bench: MakeBench,
) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "classify", "native")
    served = table.load(table.adapter(case))
    slot = table.open(case)
    rows = [
        port.Row(ids=ROWS[0], slot=1),
        port.Row(ids=ROWS[1], slot=slot),
        port.Row(ids=ROWS[2], slot=1),
    ]
    before = table.ask(port.Predict(rows=rows, place={1: served})).rows
    with torch.no_grad():
        for tensor in table.engine._trainings[slot].adapter.tensors.values():
            tensor.fill_(float("nan"))
    table.engine._moved.add(slot)
    after = table.ask(port.Predict(rows=rows, place={1: served})).rows
    assert after[1].code == "non_finite_result"
    assert [after[0], after[2]] == [before[0], before[2]]


def test_a_step_over_the_size_of_one_part_takes_the_same_step_in_several(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "tag", "native")
    whole = table.train(case, table.open(case), steps=4)
    monkeypatch.setattr("engine.training.parts._MAX_TOKENS", 12)
    parts = table.train(case, table.open(case), steps=4)
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_a_tensor_that_no_gradient_reached_is_named_though_decay_moved_it(
    bench: MakeBench, tmp_path: Path
) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = table.open(case, weight_decay=0.5)
    table.train(case, slot, steps=1)  # with B still zero, no gradient reaches A
    unmoved = table.ask(port.Save(slot=slot, directory=str(tmp_path))).unmoved
    assert unmoved
    assert all(name.endswith(".down") for name in unmoved)


@pytest.mark.survival("D5", "F5")
def test_a_diverging_job_fails_typed_and_leaves_its_neighbours_bits_alone(bench: MakeBench) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "regress", "native")
    served = table.load(table.adapter(case))
    before = table.answers([(ids, served) for ids in ROWS])
    slot = table.open(case, max_grad_norm=1e30)
    step = port.Train(
        slot=slot, rows=[port.Row(ids=ROWS[0], slot=slot)], keys=[0], targets=[float("nan")],
        learning_rate=1.0, step=0,
    )  # fmt: skip
    assert table.refusal(step).code == "diverged"
    for old, new in zip(before, table.answers([(ids, served) for ids in ROWS]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_step_that_makes_the_model_code_raise_fails_alone(bench: MakeBench) -> None:
    table = bench("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = table.open(case)
    longer = [5] * (table.base.max_tokens + 200)
    step = port.Train(
        slot=slot, rows=[port.Row(ids=longer, slot=slot)], keys=[0], targets=[0],
        learning_rate=0.01, step=0,
    )  # fmt: skip
    assert table.refusal(step).code == "bad_training"
    assert table.train(case, slot, steps=1) == table.train(case, table.open(case), steps=1)


@pytest.mark.parametrize(
    ("sentence", "code"),
    [("can't allocate memory: 1 byte", "out_of_memory"), ("CUDA error: device-side assert", None)],
)
def test_a_training_step_without_memory_says_so_and_one_without_a_device_ends_the_engine(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sentence: str, code: str | None
) -> None:
    table = bench("bert")
    slot = table.open(Case("bert", "lora", "classify", "native"))

    def raising(*_: object) -> None:
        raise RuntimeError(sentence)

    monkeypatch.setattr(Training, "train", raising)
    step = port.Train(slot=slot, rows=[], keys=[], targets=[], learning_rate=0.1, step=0)
    if code is None:
        with pytest.raises(RuntimeError, match="device-side"):
            table.engine.step(step)
    else:
        assert table.refusal(step).code == code


def test_what_is_found_after_training_is_saved_with_the_head_and_survives_an_export(
    bench: MakeBench, tmp_path: Path
) -> None:
    table = bench("bert")
    slot = table.open(Case("bert", "lora", "classify", "native"))
    save = port.Save(slot=slot, directory=str(tmp_path), head={"temperature": 1.5})
    saved = table.ask(save)
    assert saved.semantics["head"]["temperature"] == 1.5
    exported = {"semantics": saved.semantics, "base": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(exported))
    again = table.ask(port.Inspect(directory=str(tmp_path)))
    assert again.semantics["head"] == saved.semantics["head"]


def test_a_head_is_not_saved_with_settings_that_its_weights_do_not_fit(
    bench: MakeBench, tmp_path: Path
) -> None:
    table = bench("bert")
    slot = table.open(Case("bert", "lora", "classify", "native"))
    labels = {"labels": ["more", "than", "it", "has", "weights"]}
    refused = table.refusal(port.Save(slot=slot, directory=str(tmp_path), head=labels))
    assert "it needs [5, " in refused.message
