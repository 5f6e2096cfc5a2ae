"""An adapter that does not fit is refused with both sides named, and nothing of it stays."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import port
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

CASE = Case("bert", "lora", "classify", "native")
SITE = "base_model.model.bert.encoder.layer.0.attention.self.query"
MakeBench = Callable[..., EngineUnderTest]


def edited(
    under_test: EngineUnderTest,
    tensors: Callable[[dict[str, Any]], None] | None = None,
    **config: Any,
) -> port.Inspect:
    """A good adapter's directory with its tensors or config changed."""
    directory = under_test.write(under_test.adapter(CASE))
    if tensors:
        held = load_file(directory / "adapter_model.safetensors")
        tensors(held)
        save_file(held, directory / "adapter_model.safetensors")
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return port.Inspect(directory=str(directory), head={"labels": ["a", "b", "c"]})


def _rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def rename(held: dict[str, Any]) -> None:
        for key in [k for k in held if old in k]:
            held[key.replace(old, new)] = held.pop(key)

    return rename


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda held: held.update({key: value})


BAD_TENSORS: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
    "no site": (_rename("encoder.layer", "decoder.block"), "no_matching_site", "0 of 18 adapted"),
    "some sites": (
        _rename("layer.0.attention", "layer.9.attention"), "no_matching_site", "14 of 18",
    ),
    "wrong shape": (_set(f"{SITE}.lora_A.weight", torch.zeros(4, 31)), "wrong_shape", "31"),
    "wrong rank": (_set(f"{SITE}.lora_A.weight", torch.zeros(5, 32)), "bad_adapter", "rank 5"),
    "half a pair": (lambda held: held.pop(f"{SITE}.lora_B.weight"), "bad_adapter", "needs"),
    "NaN": (
        _set(f"{SITE}.lora_A.weight", torch.full((4, 32), torch.nan)), "non_finite_weights", "NaN",
    ),
    "infinity": (
        _set("base_model.model.classifier.bias", torch.full((3,), torch.inf)),
        "non_finite_weights", "classifier",
    ),
    "a head of no dimension": (
        _set("base_model.model.classifier.weight", torch.tensor(1.0)), "bad_adapter", "head",
    ),
    "lost layers": (
        lambda held: [held.pop(k) for k in list(held) if ".layer.2." in k], "missing_tensors",
        "18 modules of this base; the weights hold no tensors for 6 of them",
    ),
    "no head": (_rename("classifier", "lm_head"), "bad_adapter", "lm_head"),
    "head of another width": (
        _set("base_model.model.classifier.weight", torch.zeros(3, 16)), "wrong_shape", "16",
    ),
    "other labels": (
        lambda held: held.update({
            "base_model.model.classifier.weight": torch.zeros(5, 32),
            "base_model.model.classifier.bias": torch.zeros(5),
        }),
        "bad_adapter", "5 outputs; 3 labels",
    ),
}  # fmt: skip


@pytest.mark.survival("A9")
@pytest.mark.parametrize("name", sorted(BAD_TENSORS))
def test_tensors_that_do_not_fit_are_refused(make_engine: MakeBench, name: str) -> None:
    change, code, words = BAD_TENSORS[name]
    under_test = make_engine("bert")
    refusal = under_test.refusal(edited(under_test, change))
    assert refusal.code == code
    assert words in refusal.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, "magnitude"),
        ({"use_dora": True, "lora_bias": True}, "one at a time"),
        ({"lora_bias": True}, "up_bias"),
        ({"bias": "some"}, "'some'; this engine serves none, lora_only, all"),
        ({"kasa_config": {"a": 1}}, "kasa_config"),
        ({"peft_type": "VERA"}, "'VERA'; this engine serves lora, bottleneck"),
        ({"r": "8"}, 'r as "8"'),
        ({"r": 10**6}, "rank"),
        ({"lora_alpha": 1e41}, "overflows float32"),
        ({"lora_alpha": "many"}, 'lora_alpha as "many"; it must be a number'),
        ({"alpha_pattern": {"(a+)+$": 3}}, "expressions are never run"),
        ({"alpha_pattern": {SITE.removeprefix("base_model.model.bert."): [1]}}, "must be a number"),
        ({"alpha_pattern": {"zzz": 10**30}}, "'zzz', which is no adapted module"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base"),
        ({"r": 0}, "rank"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_settings_this_engine_would_compute_wrongly_are_refused(
    make_engine: MakeBench, config: dict[str, Any], words: str
) -> None:
    under_test = make_engine("bert")
    assert words in under_test.refusal(edited(under_test, **config)).message


@pytest.mark.survival("A10")
def test_a_module_that_a_configuration_names_is_not_imported(
    make_engine: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_an_adapter.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    under_test = make_engine("bert")
    named = {
        "auto_mapping": {"base_model_class": "x", "parent_library": "named_by_an_adapter"},
        "megatron_core": "named_by_an_adapter",
    }
    assert (
        under_test.ask(edited(under_test, **named)).semantics
        == under_test.ask(edited(under_test)).semantics
    )
    assert "named_by_an_adapter" not in sys.modules


@pytest.mark.survival("A13")
def test_an_adapter_of_another_base_is_refused_with_both_fingerprints(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    step = edited(under_test)
    manifest = {"base": {"fingerprint": "0" * 64, "name": "elsewhere"}}
    (Path(step.directory) / "manifest.json").write_text(json.dumps(manifest))
    refusal = under_test.refusal(step)
    assert refusal.code == "wrong_base"
    assert "000000000000" in refusal.message
    assert under_test.base.fingerprint[:12] in refusal.message


def test_a_fingerprint_of_another_base_is_served_where_it_is_insisted_on(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    step = edited(under_test)
    manifest = {"base": {"fingerprint": "0" * 64, "name": "elsewhere"}}
    (Path(step.directory) / "manifest.json").write_text(json.dumps(manifest))
    insisted = port.Inspect(directory=step.directory, head=step.head, other_base=True)
    assert under_test.ask(insisted).other_base == "elsewhere"


@pytest.mark.survival("A13")
def test_a_name_of_another_base_is_refused_unless_it_is_insisted_on(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    step = edited(under_test, base_model_name_or_path="some-lab/other-model")
    refusal = under_test.refusal(step)
    assert refusal.code == "wrong_base"
    assert "'some-lab/other-model'" in refusal.message
    assert repr(under_test.base.name) in refusal.message
    insisted = port.Inspect(directory=step.directory, head=step.head, other_base=True)
    assert under_test.ask(insisted).other_base == "some-lab/other-model"


def test_our_own_fingerprint_settles_which_base_it_is(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    step = edited(under_test, base_model_name_or_path="renamed/since")
    manifest = {"base": {"fingerprint": under_test.base.fingerprint, "name": "then"}}
    (Path(step.directory) / "manifest.json").write_text(json.dumps(manifest))
    found = under_test.ask(step)
    assert (found.other_base, found.warnings) == ("", [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: [held.pop(k) for k in list(held) if "base_layer.bias" in k], None),
        (
            lambda held: held.pop(f"{SITE}.base_layer.bias"),
            "trains 18 biases of this base; the weights lack 1",
        ),
    ],
    ids=["all", "one"],
)
def test_trained_biases_that_were_not_saved_are_told_and_some_of_them_refused(
    make_engine: MakeBench, change: Callable[[dict[str, Any]], object], words: str | None
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora-biases", "classify", "native")
    directory = under_test.write(under_test.adapter(case))
    held = load_file(directory / "adapter_model.safetensors")
    change(held)
    save_file(held, directory / "adapter_model.safetensors")
    step = port.Inspect(directory=str(directory))
    if words is None:
        (told,) = under_test.ask(step).warnings
        assert "bias lora_only, and the weights hold no biases" in told
    else:
        refusal = under_test.refusal(step)
        assert (refusal.code, words in refusal.message) == ("missing_tensors", True)


@pytest.mark.parametrize("name", ["pooler", "embeddings.word_embeddings"])
def test_modules_of_the_base_that_were_trained_whole_and_are_not_there_are_named(
    make_engine: MakeBench, name: str
) -> None:
    under_test = make_engine("bert")
    refusal = under_test.refusal(edited(under_test, modules_to_save=["classifier", "score", name]))
    assert refusal.code == "missing_tensors"
    assert f"names {name} in modules_to_save" in refusal.message


def test_under_an_expression_the_tensors_name_the_modules(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    listed = under_test.ask(edited(under_test))
    config = {"target_modules": "(a+)+$", "exclude_modules": ".*", "rank_pattern": {".*": 4}}
    told = under_test.ask(edited(under_test, **config))
    assert told.semantics == listed.semantics
    assert told.warnings == []


def test_a_layer_that_is_missing_under_an_expression_is_told(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    lost = lambda held: [held.pop(k) for k in list(held) if ".layer.1." in k]  # noqa: E731
    (told,) = under_test.ask(edited(under_test, lost, target_modules=".*")).warnings
    assert "adapt 12 of the 18 modules" in told
    assert "target_modules .*, and expressions are never run" in told
    assert "not encoder.layer.1." in told


@pytest.mark.survival("A21")
def test_a_file_that_changed_since_it_was_published_is_never_served(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    directory = under_test.write(under_test.adapter(CASE))
    semantics = under_test.adapter(CASE).semantics
    path = str(directory / "adapter_model.safetensors")
    files = [port.File(role="adapter", path=path, sha256="0" * 64)]
    refusal = under_test.refusal(port.Load(digest="x", semantics=semantics, files=files))
    assert refusal.code == "wrong_content"
    assert "sha256" in refusal.message


@pytest.mark.survival("A12")
def test_weights_over_the_host_budget_are_refused_and_nothing_stays(make_engine: MakeBench) -> None:
    under_test = make_engine("bert", host_bytes=1000)
    directory = under_test.write(under_test.adapter(CASE))
    inspected = under_test.ask(port.Inspect(directory=str(directory)))
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    step = port.Load(digest="x", semantics=inspected.semantics, files=files)
    assert under_test.refusal(step).code == "out_of_memory"
    assert under_test.ask(port.Stats()).loaded == {}


def test_a_slot_that_holds_nothing_is_named(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    refusal = under_test.refusal(port.Predict(rows=[port.Row.of(ids=ROWS[0], slot=5)]))
    assert refusal.code == "not_loaded"
    assert "slot 5" in refusal.message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "prefix"}, "'prefix'"),
        ({"kind_config": {"rank": 0}}, "rank is 0"),
        ({"kind": "head_only", "head": {"kind": "embed"}}, "nothing to train"),
        ({"kind_config": {"targets": ["nothing"]}}, "nothing"),
        ({"kind_config": {"layers": 9}}, "layers is 9"),
        ({"kind_config": {"alpha": -1}}, "alpha"),
        ({"kind_config": {"reduction": 4}}, "lora has no setting 'reduction'; it has rank"),
        ({"kind_config": {"dora": True, "lora_bias": True}}, "do not go together"),
        ({"kind_config": {"bias": "some"}}, "'some'; it must be one of none, lora_only, all"),
        ({"kind_config": {"rank_pattern": {"query": 2.5}}}, "query is 2.5; it must be a whole"),
        (
            {"kind": "ia3", "kind_config": {"feedforward": ["pooler"]}},
            "'pooler', which is no",
        ),
        ({"kind_config": {"rank_pattern": {"nothing": 2}}}, "'nothing', which is no adapted"),
        ({"kind": "ia3", "kind_config": {"rank": 4}}, "ia3 has no setting 'rank'"),
        ({"kind": "bias", "kind_config": {"rank": 4}}, "bias has no setting 'rank'"),
        ({"kind": "head_only", "kind_config": {"layers": 1}}, "it has none at all"),
        ({"kind": "head_only", "head": {"kind": "embed", "pooling": "mean"}}, "nothing to train"),
        ({"kind": "bottleneck", "kind_config": {"variant": "odd"}}, "'odd'; it must be one of"),
        ({"kind": "bottleneck", "kind_config": {"scaling": -1}}, "scaling is -1"),
        ({"kind": "bottleneck", "kind_config": {"activation": "sine"}}, "'sine'; it must be one"),
        ({"head": {"kind": "classify", "labels": ["one"]}}, "at least 2"),
        ({"head": {"kind": "classify", "labels": ["a", "a"]}}, "twice"),
        ({"head": {"kind": "tag", "labels": ["O", "thing"]}}, "thing"),
        ({"head": {"kind": "classify", "labels": ["a", "b"], "pooling": "max"}}, "'max'"),
    ],
    ids=lambda value: None,
)
def test_training_settings_that_make_no_sense_are_refused(
    make_engine: MakeBench, spec: dict[str, Any], words: str
) -> None:
    under_test = make_engine("bert")
    settings = {"kind": "lora", "kind_config": {}, "head": CASE.head_settings, "seed": 1} | spec
    assert words in under_test.refusal(port.OpenTraining(**settings)).message
