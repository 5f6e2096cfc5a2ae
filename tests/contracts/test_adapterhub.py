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
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from adapters_registry.staging import ADAPTER, OTHER_NAMES
from adapters_registry.staging import CONFIG as CONFIG_NAME
from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.bench import Bench
from tests.contracts.golden.weights import CONFIG, ROWS, fill
from tests.contracts.tiny import build_tokenizer

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = ["houlsby", "parallel", "pfeiffer"]
HEAD = {"kind": "classify", "labels": ["a", "b", "c"], "pooling": "native"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("golden")
    model = BertModel(BertConfig(**CONFIG))
    fill(model, "bert.")
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return Engine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=8))


def _staged(variant: str, folder: Path) -> Path:
    """As the front door stages them: under the stored names, without the library's documents."""
    folder.mkdir(exist_ok=True)
    shutil.copy(GOLDEN / variant / CONFIG_NAME, folder)
    for theirs, ours in OTHER_NAMES.items():
        shutil.copy(GOLDEN / variant / theirs, folder / ours)
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_directory_saved_by_adapterhub_answers_as_its_library_does(
    engine: Engine, tmp_path: Path, variant: str
) -> None:
    table = Bench(engine, tmp_path)
    digest = table.load(_staged(variant, tmp_path / "staged"), HEAD)
    expected = json.loads((GOLDEN / variant / "expected.json").read_text())
    for ours, theirs in zip(table.answers([(ids, digest) for ids in ROWS]), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    table.clear()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_we_write_has_the_librarys_names_and_settings(
    engine: Engine, tmp_path: Path, variant: str
) -> None:
    from engine.adapter import read_adapter, staged_files

    staged = _staged(variant, tmp_path / "staged")
    table = Bench(engine, tmp_path / "written")
    written = table.write(read_adapter(staged_files(staged), table.base, HEAD))
    theirs, ours = (load_file(folder / ADAPTER) for folder in (staged, written))
    assert {name.replace(".adapterd.", ".golden.") for name in ours} == set(theirs)
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name.replace(".adapterd.", ".golden.")])
    saved = json.loads((written / CONFIG_NAME).read_text())["config"]
    golden = json.loads((staged / CONFIG_NAME).read_text())["config"]
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
    engine: Engine, tmp_path: Path, name: str
) -> None:
    from engine import port

    change, words = CHANGES[name]
    staged = _staged("pfeiffer", tmp_path)
    config = json.loads((staged / CONFIG_NAME).read_text())
    change(config)
    (staged / CONFIG_NAME).write_text(json.dumps(config))
    step = port.Inspect(directory=str(staged), head=HEAD)
    refusal = Bench(engine, tmp_path).refusal(step)
    assert refusal.code == "bad_adapter"
    assert words in refusal.message
