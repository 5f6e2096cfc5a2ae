"""Where PEFT has the method, its answers are ours; what we write, it loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as FEEDFORWARD,
)
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as TARGETS

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.reader import check_directory
from adapters_registry.adapter_files.staging import Staging
from adapters_registry.storage.disk import Disk
from engine import port
from engine.adapters.base_copies import without_copies
from engine.errors import BadAdapter
from engine.families.module_names import is_targeted
from engine.kinds import KINDS
from tests.contracts.cases import LABELS, Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES
from tests.contracts.tuned import (
    VARIANTS,
    heads,
    peft_has,
    stock_logits,
    stock_model,
    tuned_model,
)

FAMILIES = sorted(BASES)
MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]
PEFT_KINDS = ["lora", "dora", "lora-biases", "ia3", "bias"]


def _skip_unless(variant: str, under_test: EngineUnderTest) -> None:
    if not peft_has(variant, under_test.base):
        pytest.skip("PEFT does not have it for this family")


def _pass_the_front_door(directory: Path, root: Path) -> None:
    """With the model card that PEFT writes, and whatever else lies there."""
    with Staging(root, Limits(), Disk()) as staging:
        for path in sorted(directory.iterdir()):
            staging.write(path.name, [path.read_bytes()])
        check_directory(staging.path, Limits(), staging.left_out)


@pytest.mark.filterwarnings("ignore:.*invalid shape:peft.utils.warning.PeftWarning")
@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_directory_saved_by_peft_answers_as_peft_does(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, family: str, variant: str
) -> None:
    under_test = make_engine(family)
    _skip_unless(variant, under_test)
    stock = heads(under_test.base)
    for head in stock if variant == "lora" else stock[: 1 + (variant == "every bias")]:
        directory = tmp_path / head
        oracle = tuned_model(base_folder(family), under_test.base, head, variant, directory)
        _pass_the_front_door(directory, tmp_path / "staging")
        digest = under_test.load(directory, {"kind": head, "labels": LABELS.get(head)})
        for ids, answer in zip(
            ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True
        ):
            np.testing.assert_allclose(answer, stock_logits(oracle, ids), atol=1e-4)


@pytest.mark.parametrize("variant", PEFT_KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_version_we_write_loads_with_stock_peft_and_answers_the_same(
    make_engine: MakeBench, base_folder: Folder, family: str, variant: str
) -> None:
    under_test = make_engine(family)
    _skip_unless(variant, under_test)
    head = heads(under_test.base)[0]
    adapter = under_test.adapter(Case(family, variant, head, "native"), scale=0.1)
    directory = under_test.write(adapter)
    oracle = PeftModel.from_pretrained(stock_model(base_folder(family), head), directory).eval()
    digest = under_test.load(directory, adapter.head)
    for ids, answer in zip(ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True):
        np.testing.assert_allclose(answer, stock_logits(oracle, ids), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_ia3_adapts_the_modules_peft_would(make_engine: MakeBench, family: str) -> None:
    base = make_engine(family).base
    config = KINDS["ia3"].check({}, base)
    if base.model_type in TARGETS:
        targets, feedforward = TARGETS[base.model_type], FEEDFORWARD[base.model_type]
        assert config["sites"] == [s for s in base.sites if is_targeted(s, targets)]
        assert config["feedforward"] == [s for s in base.sites if is_targeted(s, feedforward)]


def test_labels_that_nobody_named_get_the_stock_names(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    tuned_model(base_folder("bert"), under_test.base, "classify", "lora", tmp_path)
    inspected = under_test.ask(port.Inspect(directory=str(tmp_path)))
    assert inspected.semantics["head"]["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_a_bias_that_all_rows_share_is_refused_by_name(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    under_test = make_engine("bert")
    tuned_model(base_folder("bert"), under_test.base, "classify", "every bias", tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    key = next(name for name in tensors if name.endswith("pooler.dense.bias"))
    save_file({**tensors, key: tensors[key] + 1}, file)
    refusal = under_test.refusal(port.Inspect(directory=str(tmp_path)))
    assert refusal.code == "bad_adapter"
    assert "pooler.dense" in refusal.message


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_embeddings_that_were_saved_beside_an_adapter_are_the_bases_own_or_refused(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, family: str
) -> None:
    from safetensors.torch import load_file, save_file

    under_test = make_engine(family)
    oracle = tuned_model(base_folder(family), under_test.base, "classify", "lora", tmp_path)
    oracle.save_pretrained(tmp_path, save_embedding_layers=True)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    key = next(name for name in tensors if "embed" in name)
    under_test.ask(port.Inspect(directory=str(tmp_path)))
    digest = under_test.load(tmp_path, {"kind": "classify", "labels": LABELS["classify"]})
    (answer,) = under_test.answers([(ROWS[0], digest)])
    np.testing.assert_allclose(answer, stock_logits(oracle, ROWS[0]), atol=1e-4)
    for changed, words in (
        (tensors[key] + 1, "other values than the base's"),
        (tensors[key][:-1].clone(), "without resizing it"),
    ):
        save_file({**tensors, key: changed}, file)
        assert words in under_test.refusal(port.Inspect(directory=str(tmp_path))).message


def test_output_embeddings_that_are_the_bases_own_are_left_out(make_engine: MakeBench) -> None:
    base = make_engine("llama").base
    own = base.output.weight.detach().clone()
    assert without_copies({"lm_head.weight": own}, base.modules, base.output) == {}
    with pytest.raises(BadAdapter, match=r"lm_head\.weight with other values"):
        without_copies({"lm_head.weight": own + 1}, base.modules, base.output)


def test_a_load_does_not_walk_down_the_base_once_for_each_tensor(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    adapter = under_test.adapter(Case("bert", "lora", "classify", "native"))

    def refuse(self: torch.nn.Module, target: str) -> None:
        raise AssertionError(f"looked for {target}")

    monkeypatch.setattr(torch.nn.Module, "get_submodule", refuse)
    under_test.load(adapter)
