"""Training moves adapter and head and nothing else, on the same path that serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine import port
from engine.training.training import Training
from tests.contracts.cases import Case, params
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]


@pytest.mark.parametrize("case", params())
def test_a_fresh_adapter_changes_nothing(make_engine: MakeBench, case: Case) -> None:
    under_test = make_engine(case.family)
    with_adapter = under_test.adapter(case, scale=0.0)
    digest = under_test.load(with_adapter)
    bare = replace(with_adapter, kind="head_only", config={"sites": []}, weights={})
    oracle = under_test.load(bare)
    for ids in ROWS:
        ours, expected = (
            under_test.answers([(ids, digest)])[0],
            under_test.answers([(ids, oracle)])[0],
        )
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("case", params())
def test_training_lowers_the_loss_and_leaves_the_base_untouched(
    make_engine: MakeBench, case: Case
) -> None:
    under_test = make_engine(case.family)
    before = {name: p.clone() for name, p in under_test.base.model.named_parameters()}
    slot = under_test.open(case)
    losses = under_test.train(case, slot, steps=1, rate=0.01)
    while losses[-1] >= losses[0] * 0.85:
        assert len(losses) < 60
        losses += under_test.train(case, slot, steps=4, rate=0.01)
    for name, parameter in under_test.base.model.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name]), name
    assert not under_test.base.model.training
    under_test.ask(port.CloseTraining(slot=slot))


@pytest.mark.parametrize("case", params())
def test_every_trained_tensor_moves(make_engine: MakeBench, case: Case, tmp_path: Path) -> None:
    under_test = make_engine(case.family)
    slot = under_test.open(case)
    under_test.train(case, slot, steps=3)
    assert under_test.ask(port.Save(slot=slot, directory=str(tmp_path))).unmoved == []


@pytest.mark.parametrize("case", params())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_answers_bit_for_bit_what_was_trained(
    make_engine: MakeBench, case: Case, dtype: str, tmp_path: Path
) -> None:
    under_test = make_engine(case.family, dtype=dtype)
    slot = under_test.open(case)
    under_test.train(case, slot, steps=3)
    trained = under_test.ask(
        port.Predict(rows=[port.Row.of(ids=ids, slot=slot) for ids in ROWS])
    ).rows
    saved = under_test.ask(port.Save(slot=slot, directory=str(tmp_path)))
    digest = under_test.load(tmp_path, saved.semantics["head"])
    reloaded = under_test.answers([(ids, digest) for ids in ROWS])
    for before, after in zip(trained, reloaded, strict=True):
        np.testing.assert_array_equal(before.numpy(), after)


@pytest.mark.parametrize("family", sorted(BASES))
def test_cached_activations_train_exactly_what_recomputed_ones_do(
    make_engine: MakeBench, family: str
) -> None:
    under_test = make_engine(family)
    case = Case(family, "lora", "classify", "native")
    settings = {"rank": 4, "layers": 1}
    cached = under_test.open(case, kind_config=settings, dropout=0.1, head_dropout=0.1)
    fresh = under_test.open(
        case, kind_config=settings, dropout=0.1, head_dropout=0.1, cache_bytes=0
    )
    under_test.fill(cached)
    assert under_test.train(case, cached, steps=6) == under_test.train(case, fresh, steps=6)
    assert (under_test.ask(port.Stats()).cache_bytes > 0) == under_test.base.family.ranged


def test_restoring_goes_back_to_the_snapshot(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = under_test.open(case)
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    under_test.train(case, slot, steps=2)
    under_test.ask(port.Snapshot(slot=slot))
    best = under_test.ask(port.Predict(rows=rows)).rows
    under_test.train(case, slot, steps=5)
    assert under_test.ask(port.Predict(rows=rows)).rows != best
    under_test.ask(port.Restore(slot=slot))
    assert under_test.ask(port.Predict(rows=rows)).rows == best


@pytest.mark.parametrize("kind", ["lora", "bottleneck", "ia3", "bias", "head_only"])
def test_an_average_has_the_mean_of_every_trained_tensor(
    make_engine: MakeBench, kind: str, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", kind, "classify", "native")
    slots = [under_test.open(case, seed=seed, initial_seed=7) for seed in (1, 2)]
    first, second = (_saved_tensors(under_test, slot, tmp_path) for slot in slots)
    assert all(torch.equal(first[name], second[name]) for name in first), "they begin alike"
    for slot in slots:
        under_test.train(case, slot, steps=3 + slot)
    mean = under_test.open(case, seed=3)
    under_test.ask(port.Average(slot=mean, slots=slots))
    parts = [_saved_tensors(under_test, slot, tmp_path) for slot in slots]
    for name, tensor in _saved_tensors(under_test, mean, tmp_path).items():
        torch.testing.assert_close(tensor, torch.stack([part[name] for part in parts]).mean(0))


def test_what_one_training_reached_is_reached_in_the_average(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    trained, fresh, mean = (under_test.open(case, seed=seed, initial_seed=7) for seed in (1, 2, 3))
    under_test.train(case, trained, steps=3)
    under_test.ask(port.Average(slot=mean, slots=[trained, fresh]))
    assert under_test.ask(port.Save(slot=mean, directory=str(tmp_path))).unmoved == []


def test_a_share_of_the_layers_is_the_trainers_word(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    step = port.OpenTraining(
        kind="lora", kind_config={"layers": "half"}, head=case.head_settings, seed=0
    )
    assert under_test.refusal(step).code == "bad_training"


def test_trainings_that_are_not_alike_are_not_averaged(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    slot, other = (under_test.open(case, kind_config={"rank": rank}) for rank in (2, 4))
    refusal = under_test.refusal(port.Average(slot=slot, slots=[other]))
    assert refusal.code == "bad_training"
    assert "cannot be averaged into a lora of {'r': 2" in refusal.message


def _saved_tensors(under_test: EngineUnderTest, slot: int, folder: Path) -> dict[str, Tensor]:
    directory = folder / f"{slot}-{len(list(folder.iterdir()))}"
    directory.mkdir()
    under_test.ask(port.Save(slot=slot, directory=str(directory)))
    return {
        f"{file.name} {name}": tensor
        for file in sorted(directory.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def test_one_seed_trains_one_adapter_whatever_else_is_training(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    alone = under_test.open(case, dropout=0.2)
    losses = under_test.train(case, alone, steps=4)
    first, other = under_test.open(case, dropout=0.2), under_test.open(case, seed=99, dropout=0.5)
    beside = []
    for number in range(4):
        beside += _one_step(under_test, case, first, number)
        _one_step(under_test, case, other, number)
    assert beside == losses


def _one_step(under_test: EngineUnderTest, case: Case, slot: int, number: int) -> list[float]:
    from tests.contracts.engine_under_test import targets

    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    step = port.Train(
        slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
        learning_rate=0.01, step=number,
    )  # fmt: skip
    return [under_test.ask(step).loss]


def test_a_training_slot_that_diverged_changes_no_bit_of_the_rows_beside_it(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    served = under_test.load(under_test.adapter(case))
    slot = under_test.open(case)
    rows = [
        port.Row.of(ids=ROWS[0], slot=1),
        port.Row.of(ids=ROWS[1], slot=slot),
        port.Row.of(ids=ROWS[2], slot=1),
    ]
    before = under_test.ask(port.Predict(rows=rows, place={1: served})).rows
    with torch.no_grad():
        for tensor in under_test.engine._trainings[slot].adapter.tensors.values():
            tensor.fill_(float("nan"))
    under_test.engine._trainings._stale.add(slot)
    after = under_test.ask(port.Predict(rows=rows, place={1: served})).rows
    assert after[1].code == "non_finite_result"
    assert [after[0], after[2]] == [before[0], before[2]]


def test_a_step_over_the_size_of_one_part_takes_the_same_step_in_several(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "tag", "native")
    whole = under_test.train(case, under_test.open(case), steps=4)
    monkeypatch.setattr("engine.training.training._MAX_TOKENS", 12)
    parts = under_test.train(case, under_test.open(case), steps=4)
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_a_tensor_that_no_gradient_reached_is_named_though_decay_moved_it(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = under_test.open(case, weight_decay=0.5)
    under_test.train(case, slot, steps=1)  # with B still zero, no gradient reaches A
    unmoved = under_test.ask(port.Save(slot=slot, directory=str(tmp_path))).unmoved
    assert unmoved
    assert all(name.endswith(".down") for name in unmoved)


@pytest.mark.survival("D5", "F5")
def test_a_diverging_job_fails_typed_and_leaves_its_neighbours_bits_alone(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "regress", "native")
    served = under_test.load(under_test.adapter(case))
    before = under_test.answers([(ids, served) for ids in ROWS])
    slot = under_test.open(case, max_grad_norm=1e30)
    step = port.Train(
        slot=slot, rows=[port.Row.of(ids=ROWS[0], slot=slot)], keys=[0], targets=[float("nan")],
        learning_rate=1.0, step=0,
    )  # fmt: skip
    assert under_test.refusal(step).code == "diverged"
    for old, new in zip(before, under_test.answers([(ids, served) for ids in ROWS]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_step_that_makes_the_model_code_raise_fails_alone(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    slot = under_test.open(case)
    longer = [5] * (under_test.base.max_tokens + 200)
    step = port.Train(
        slot=slot, rows=[port.Row.of(ids=longer, slot=slot)], keys=[0], targets=[0],
        learning_rate=0.01, step=0,
    )  # fmt: skip
    assert under_test.refusal(step).code == "bad_training"
    assert under_test.train(case, slot, steps=1) == under_test.train(
        case, under_test.open(case), steps=1
    )


@pytest.mark.parametrize(
    ("sentence", "code"),
    [("can't allocate memory: 1 byte", "out_of_memory"), ("CUDA error: device-side assert", None)],
)
def test_a_training_step_without_memory_says_so_and_one_without_a_device_ends_the_engine(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, sentence: str, code: str | None
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(Case("bert", "lora", "classify", "native"))

    def raising(*_: object) -> None:
        raise RuntimeError(sentence)

    monkeypatch.setattr(Training, "train", raising)
    step = port.Train(slot=slot, rows=[], keys=[], targets=[], learning_rate=0.1, step=0)
    if code is None:
        with pytest.raises(RuntimeError, match="device-side"):
            under_test.engine.step(step)
    else:
        assert under_test.refusal(step).code == code


def test_what_is_found_after_training_is_saved_with_the_head_and_survives_an_export(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(Case("bert", "lora", "classify", "native"))
    save = port.Save(slot=slot, directory=str(tmp_path), head={"temperature": 1.5})
    saved = under_test.ask(save)
    assert saved.semantics["head"]["temperature"] == 1.5
    exported = {"semantics": saved.semantics, "base": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(exported))
    again = under_test.ask(port.Inspect(directory=str(tmp_path)))
    assert again.semantics["head"] == saved.semantics["head"]


def test_a_head_is_not_saved_with_settings_that_its_weights_do_not_fit(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    slot = under_test.open(Case("bert", "lora", "classify", "native"))
    labels = {"labels": ["more", "than", "it", "has", "weights"]}
    refused = under_test.refusal(port.Save(slot=slot, directory=str(tmp_path), head=labels))
    assert "it needs [5, " in refused.message
