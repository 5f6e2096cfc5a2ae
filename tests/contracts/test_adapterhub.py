"""AdapterHub's files, as its own library wrote them, answer what it answered; ours have its shape.

The golden files and the script that made them are in `golden/`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from adapters_registry.adapter_files.file_names import CONFIG as CONFIG_NAME
from adapters_registry.adapter_files.file_names import (
    HUB_ADAPTER,
    HUB_HEAD,
    HUB_HEAD_CONFIG,
    STORED_NAMES,
)
from engine.engine import Engine
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import EngineUnderTest, read_adapter
from tests.contracts.golden.weights import ROWS

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = ["houlsby", "parallel", "pfeiffer"]
HEAD = {"kind": "classify", "labels": ["a", "b", "c"], "pooling": "native"}


def staged(variant: str, folder: Path) -> Path:
    """As the front door stages them."""
    folder.mkdir(exist_ok=True)
    for file in (GOLDEN / variant).iterdir():
        if file.name in STORED_NAMES:
            shutil.copy(file, folder)
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_directory_saved_by_adapterhub_answers_as_its_library_does(
    hub_engine: Engine, tmp_path: Path, variant: str
) -> None:
    under_test = EngineUnderTest(hub_engine, tmp_path)
    digest = under_test.load(staged(variant, tmp_path / "staged"), HEAD)
    expected = json.loads((GOLDEN / variant / "expected.json").read_text())
    for ours, theirs in zip(
        under_test.answers([(ids, digest) for ids in ROWS]), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    under_test.clear()


#: directory -> what its documents say of the head, without anybody's help
SAID: dict[str, dict[str, Any]] = {
    "houlsby": {"kind": "classify", "labels": ["LABEL_0", "LABEL_1", "LABEL_2"]},
    "lora": {"kind": "classify", "pooling": "native"},
    "head-two-layers": {"kind": "classify", "labels": ["red", "green", "blue"], "pooling": "cls"},
    "head-pooler": {"kind": "classify", "labels": ["LABEL_0", "LABEL_1", "LABEL_2"]},
    "head-multilabel": {"kind": "classify", "multi_label": True},
    "head-number": {"kind": "regress"},
    "head-tagging": {"kind": "tag", "labels": ["O", "B-x", "I-x"]},
    "head-question": {"kind": "span"},
}


@pytest.mark.parametrize("name", sorted(SAID))
def test_the_librarys_heads_answer_as_it_does_and_say_what_they_are(
    hub_engine: Engine, tmp_path: Path, name: str
) -> None:
    from engine import port

    under_test = EngineUnderTest(hub_engine, tmp_path)
    directory = staged(name, tmp_path / "staged")
    head = under_test.ask(port.Inspect(directory=str(directory))).semantics["head"]
    assert {key: head[key] for key in SAID[name]} == SAID[name]
    digest = under_test.load(directory)
    expected = json.loads((GOLDEN / name / "expected.json").read_text())
    for ours, theirs in zip(
        under_test.answers([(ids, digest) for ids in ROWS]), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    under_test.clear()


def test_a_version_is_loaded_with_the_head_that_was_read_when_it_was_registered(
    hub_engine: Engine, tmp_path: Path
) -> None:
    from engine import port

    under_test = EngineUnderTest(hub_engine, tmp_path)
    found = under_test.ask(port.Inspect(directory=str(staged("head-pooler", tmp_path / "staged"))))
    assert found.files == {
        "config": "adapter_config.json", "adapter": "adapter.safetensors",
        "head": "model_head.safetensors", "head_config": "head_config.json",
    }  # fmt: skip
    files = [
        port.File(role=role, path=str(tmp_path / "staged" / name))
        for role, name in found.files.items()
        if role != "head_config"
    ]
    under_test.ask(port.Load(digest="x", semantics=found.semantics, files=files))
    under_test.ask(port.Unload(digest="x"))


HEAD_CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "choice": (
        lambda c: c["config"].update(head_type="multiple_choice"),
        "'multiple_choice'; of AdapterHub's heads this engine serves classification,",
    ),
    "activation": (lambda c: c["config"].update(activation_function="sine"), "'sine'"),
    "layers": (lambda c: c["config"].update(layers=3), "this head needs ['heads.0.bias'"),
    "labels": (lambda c: c["config"].update(label2id={"a": 0, "b": 2, "c": 3}), "from 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HEAD_CHANGES))
def test_heads_this_engine_would_compute_wrongly_are_refused(
    hub_engine: Engine, tmp_path: Path, name: str
) -> None:
    from engine import port

    change, words = HEAD_CHANGES[name]
    directory = staged("head-two-layers", tmp_path)
    config = json.loads((directory / "head_config.json").read_text())
    change(config)
    (directory / "head_config.json").write_text(json.dumps(config))
    refusal = EngineUnderTest(hub_engine, tmp_path).refusal(port.Inspect(directory=str(directory)))
    assert refusal.code == "bad_adapter"
    assert words in refusal.message


LORA_CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "dora": (lambda c: c["config"].update(use_dora=True), "use_dora to True"),
    "gating": (lambda c: c["config"].update(use_gating=True), "use_gating to True"),
    "ia3": (lambda c: c["config"].update(composition_mode="scale"), "'scale'"),
    "prefix": (lambda c: c["config"].update(architecture="prefix_tuning"), "'prefix_tuning'"),
    "lost layers": (lambda c: c["config"].update(leave_out=[]), "no tensors for 3 of them"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LORA_CHANGES))
def test_a_lora_of_the_library_that_would_be_computed_wrongly_is_refused(
    hub_engine: Engine, tmp_path: Path, name: str
) -> None:
    from engine import port

    change, words = LORA_CHANGES[name]
    directory = staged("lora", tmp_path)
    config = json.loads((directory / CONFIG_NAME).read_text())
    change(config)
    (directory / CONFIG_NAME).write_text(json.dumps(config))
    refusal = EngineUnderTest(hub_engine, tmp_path).refusal(port.Inspect(directory=str(directory)))
    assert words in refusal.message


@pytest.mark.parametrize(("variant", "layers"), [("houlsby", [0]), ("pfeiffer", [])])
def test_bottlenecks_that_its_config_says_are_there_and_are_not_are_refused(
    hub_engine: Engine, tmp_path: Path, variant: str, layers: list[int]
) -> None:
    from engine import port

    directory = staged(variant, tmp_path)
    tensors = load_file(directory / HUB_ADAPTER)
    kept = {name: t for name, t in tensors.items() if ".layer.1." not in name}
    if not layers:  # the config leaves layer 0 out, so all of them are gone
        config = json.loads((directory / CONFIG_NAME).read_text())
        config["config"]["leave_out"] = layers
        (directory / CONFIG_NAME).write_text(json.dumps(config))
        kept = tensors
    save_file(kept, directory / HUB_ADAPTER)
    refusal = EngineUnderTest(hub_engine, tmp_path).refusal(
        port.Inspect(directory=str(directory), head=HEAD)
    )
    assert refusal.code == "missing_tensors"
    assert "output_adapter in every layer" in refusal.message


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_we_write_has_the_librarys_names_and_settings(
    hub_engine: Engine, tmp_path: Path, variant: str
) -> None:
    directory = staged(variant, tmp_path / "staged")
    under_test = EngineUnderTest(hub_engine, tmp_path / "written")
    written = under_test.write(read_adapter(directory, under_test.base, HEAD))
    theirs, ours = (load_file(folder / HUB_ADAPTER) for folder in (directory, written))
    assert {name.replace(".adapterd.", ".golden.") for name in ours} == set(theirs)
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name.replace(".adapterd.", ".golden.")])
    assert load_file(written / HUB_HEAD).keys() == load_file(directory / HUB_HEAD).keys()
    ours_head, theirs_head = (
        json.loads((folder / HUB_HEAD_CONFIG).read_text()) for folder in (written, directory)
    )
    labels = {label: place for place, label in enumerate(HEAD["labels"])}
    assert ours_head == {**theirs_head, "label2id": labels, "version": ours_head["version"]}
    saved = json.loads((written / CONFIG_NAME).read_text())["config"]
    golden = json.loads((directory / CONFIG_NAME).read_text())["config"]
    assert {name: golden.get(name) for name in saved} == saved


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "gating": (lambda c: c["config"].update(use_gating=True), "use_gating to True"),
    "compacter": (lambda c: c["config"].update(phm_layer=True), "phm_layer"),
    "own norm": (lambda c: c["config"].update(ln_after=True), "ln_after"),
    "learned scaling": (lambda c: c["config"].update(scaling="learned"), "'learned'"),
    "activation": (lambda c: c["config"].update(non_linearity="sine"), "'sine'"),
    "no reduction": (lambda c: c["config"].pop("reduction_factor"), "reduction_factor is None"),
    "endless reduction": (lambda c: c["config"].update(reduction_factor=1e300), "1e+300"),
    "a layer's reduction": (
        lambda c: c["config"].update(reduction_factor={"default": 4, "1": 0}), "at most 65536",
    ),
    "both": (
        lambda c: c["config"].update(is_parallel=True, original_ln_before=True), "exclude",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_settings_this_engine_would_compute_wrongly_are_refused(
    hub_engine: Engine, tmp_path: Path, name: str
) -> None:
    from engine import port

    change, words = CHANGES[name]
    directory = staged("pfeiffer", tmp_path)
    config = json.loads((directory / CONFIG_NAME).read_text())
    change(config)
    (directory / CONFIG_NAME).write_text(json.dumps(config))
    step = port.Inspect(directory=str(directory), head=HEAD)
    refusal = EngineUnderTest(hub_engine, tmp_path).refusal(step)
    assert refusal.code == "bad_adapter"
    assert words in refusal.message


#: where the library has its modules: in models of BERT's build, in most others, in ALBERT's
HOSTS = {
    "bert": ["bert.encoder.layer.0.attention.output", "bert.encoder.layer.0.output"],
    "distilbert": [
        "distilbert.transformer.layer.0.attention_adapters",
        "distilbert.transformer.layer.0.output_adapters",
    ],
    "gpt2": ["transformer.h.0.attention_adapters", "transformer.h.0.output_adapters"],
    "albert": [
        "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.attention_adapters",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.output_adapters",
    ],
}


@pytest.mark.parametrize("family", sorted(HOSTS))
def test_bottlenecks_are_written_where_the_library_has_them(
    make_engine: Callable[..., EngineUnderTest], family: str
) -> None:
    under_test = make_engine(family)
    case = Case(family, "bottleneck", "classify", "native")
    directory = under_test.write(under_test.adapter(case, layers=[0]))
    names = load_file(directory / HUB_ADAPTER)
    assert sorted({name.partition(".adapters.")[0] for name in names}) == HOSTS[family]
