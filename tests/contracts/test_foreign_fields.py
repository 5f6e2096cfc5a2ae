"""Whatever type a field of an adapter's documents has, it is refused in our own words or read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import port
from engine.port import Failure
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.test_adapterhub import HEAD, staged

MakeBench = Callable[..., EngineUnderTest]
VALUES: list[Any] = [
    None, True, False, -1, 0, 7, 2.5, 1e300, "", "x", [], ["x"], [1], {}, {"a": 1},
]  # fmt: skip
#: words of Python's own, which tell a caller nothing
FOREIGN_WORDS = (
    "Error",
    "NoneType",
    "object has no",
    "unhashable",
    "argument",
    "<class",
    "traceback",
)
PEFT = [
    "peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "lora_dropout",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern",
    "alpha_pattern", "modules_to_save", "bias", "fan_in_fan_out", "use_rslora", "use_dora",
    "lora_bias", "init_lora_weights", "feedforward_modules", "trainable_token_indices",
    "target_parameters", "layer_replication", "loftq_config", "revision", "config",
    "adapterd_kind", "use_qalora", "alora_invocation_tokens",
]  # fmt: skip
HUB = [
    "mh_adapter", "output_adapter", "reduction_factor", "non_linearity", "original_ln_before",
    "original_ln_after", "is_parallel", "scaling", "leave_out", "use_gating", "architecture",
]  # fmt: skip
HEAD_CONFIG = [
    "config", "model_class", "num_labels", "label2id", "head_type", "layers",
    "activation_function", "use_pooler", "bias",
]  # fmt: skip
MANIFEST = [
    "base",
    "semantics",
    "fingerprint",
    "name",
    "head",
    "kind",
    "labels",
    "pooling",
    "layout",
]


def refused_in_our_words(
    under_test: EngineUnderTest, directory: Path, head: dict[str, Any] | None
) -> None:
    result = under_test.engine.step(
        port.Inspect(directory=str(directory), head=head, other_base=True)
    )
    if isinstance(result, Failure):
        assert not [word for word in FOREIGN_WORDS if word in result.message], result.message
        assert "cannot be read" not in result.message, result.message
        assert result.code != "engine_error"


def each_value(path: Path, name: str, *inside: str) -> Any:
    """The document with one field of each value, written one after the other."""
    document = json.loads(path.read_text()) if path.exists() else {}
    for value in VALUES:
        changed = json.loads(json.dumps(document))
        place = changed
        for key in inside:
            place[key] = place.get(key) or {}
            place = place[key]
        place[name] = value
        path.write_text(json.dumps(changed))
        yield value
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("variant", ["lora-biases", "ia3", "bias"])
def test_a_field_of_peft_s_configuration(make_engine: MakeBench, variant: str) -> None:
    under_test = make_engine("bert")
    adapter = under_test.adapter(Case("bert", variant, "classify", "native"), layers=[1])
    directory = under_test.write(adapter)
    for name in PEFT:
        for _ in each_value(directory / "adapter_config.json", name):
            refused_in_our_words(under_test, directory, None)


@pytest.mark.parametrize("name", MANIFEST)
def test_a_field_of_a_manifest(make_engine: MakeBench, name: str) -> None:
    under_test = make_engine("bert")
    directory = under_test.write(under_test.adapter(Case("bert", "lora", "classify", "native")))
    inside = {"fingerprint": ("base",), "name": ("base",), "head": ("semantics",)}
    places = inside.get(name, ("semantics", "head"))
    for place in (places, ()) if name in ("base", "semantics") else (places,):
        for _ in each_value(directory / "manifest.json", name, *place):
            refused_in_our_words(under_test, directory, None)


@pytest.mark.parametrize("kind", ["classify", "tag", "regress", "span", "embed", "generate"])
def test_a_setting_of_a_head(make_engine: MakeBench, kind: str) -> None:
    from engine.heads import HEADS

    under_test = make_engine("bert")
    directory = under_test.write(under_test.adapter(Case("bert", "lora", "classify", "native")))
    for name in (*HEADS[kind].settings, "layout"):
        for value in VALUES:
            refused_in_our_words(under_test, directory, {"kind": kind, name: value})


def test_a_field_of_adapterhubs_documents(hub_engine: Any, tmp_path: Path) -> None:
    under_test = EngineUnderTest(hub_engine, tmp_path / "make_engine")
    directory = staged("pfeiffer", tmp_path / "staged")
    for name in HUB:
        for _ in each_value(directory / "adapter_config.json", name, "config"):
            refused_in_our_words(under_test, directory, HEAD)
    for name in HEAD_CONFIG:
        for inside in ((), ("config",)):
            for _ in each_value(directory / "head_config.json", name, *inside):
                refused_in_our_words(under_test, directory, None)


@pytest.mark.parametrize(
    "name", ["modules.json", "pooling_config.json", "config_sentence_transformers.json"]
)
def test_what_sentence_transformers_says(make_engine: MakeBench, name: str) -> None:
    under_test = make_engine("bert")
    directory = under_test.write(under_test.adapter(Case("bert", "lora", "embed", "mean")))
    for value in VALUES:
        whole = [{"type": value}] if name == "modules.json" else {"pooling_mode": value}
        for document in (
            value,
            whole,
            {"pooling_mode_cls_token": value},
            {"prompts": value, "default_prompt_name": "a"},
            {"prompts": {"a": value}, "default_prompt_name": value},
        ):
            (directory / name).write_text(json.dumps(document))
            refused_in_our_words(under_test, directory, {"kind": "embed"})
            refused_in_our_words(under_test, directory, None)
