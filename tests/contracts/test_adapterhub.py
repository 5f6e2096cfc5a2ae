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

from adapters_registry.file_names import CONFIG as CONFIG_NAME
from adapters_registry.file_names import HUB_ADAPTER, STORED_NAMES
from engine.engine import Engine
from tests.contracts.bench import Bench
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
    table = Bench(hub_engine, tmp_path)
    digest = table.load(staged(variant, tmp_path / "staged"), HEAD)
    expected = json.loads((GOLDEN / variant / "expected.json").read_text())
    for ours, theirs in zip(table.answers([(ids, digest) for ids in ROWS]), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    table.clear()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_we_write_has_the_librarys_names_and_settings(
    hub_engine: Engine, tmp_path: Path, variant: str
) -> None:
    from engine.adapter import read_adapter
    from engine.adapter_files import staged_files

    directory = staged(variant, tmp_path / "staged")
    table = Bench(hub_engine, tmp_path / "written")
    written = table.write(read_adapter(staged_files(directory), table.base, HEAD))
    theirs, ours = (load_file(folder / HUB_ADAPTER) for folder in (directory, written))
    assert {name.replace(".adapterd.", ".golden.") for name in ours} == set(theirs)
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name.replace(".adapterd.", ".golden.")])
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
    refusal = Bench(hub_engine, tmp_path).refusal(step)
    assert refusal.code == "bad_adapter"
    assert words in refusal.message
