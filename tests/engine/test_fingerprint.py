"""What changes a base's identity, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.config import EngineConfig
from engine.errors import BadBase
from engine.model.base import Base
from engine.model.fingerprint import fingerprint

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "base"))


def of(folder: Path) -> str:
    return fingerprint(folder, (folder / "tokenizer.json").read_text())


def edit_json(path: Path, edit: Edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def edit_weights(folder: Path, edit: Edit) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _flip_lowest_bit(tensors: dict[str, torch.Tensor]) -> None:
    tensors["pooler.dense.weight"].view(torch.int32)[0, 0] ^= 1


def _as_bfloat16(tensors: dict[str, torch.Tensor]) -> None:
    tensors["pooler.dense.weight"] = tensors["pooler.dense.weight"].bfloat16()


def test_a_copy_of_a_base_is_the_same_base(base: Path, folder: Path) -> None:
    assert of(folder) == of(base)


@pytest.mark.parametrize("edit", [_flip_lowest_bit, _as_bfloat16])
def test_one_bit_of_one_weight_makes_another_base(base: Path, folder: Path, edit: Edit) -> None:
    edit_weights(folder, edit)
    assert of(folder) != of(base)


def test_two_weights_that_change_places_make_another_base(base: Path, folder: Path) -> None:
    first, second = (f"encoder.layer.{i}.output.dense.weight" for i in (0, 1))
    edit_weights(folder, lambda t: t.update({first: t[second], second: t[first]}))
    assert of(folder) != of(base)


def test_a_tokenizer_entry_makes_another_base(base: Path, folder: Path) -> None:
    edit_json(folder / "tokenizer.json", lambda t: t["model"]["vocab"].update({"w0": 5, "w1": 4}))
    assert of(folder) != of(base)


def test_how_the_tokenizer_file_is_written_does_not(base: Path, folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content, indent=7))
    assert of(folder) == of(base)


def test_a_setting_of_the_architecture_makes_another_base(base: Path, folder: Path) -> None:
    edit_json(folder / "config.json", lambda c: c.update(layer_norm_eps=1e-5))
    assert of(folder) != of(base)


@pytest.mark.parametrize(
    "name", ["_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures"]
)
def test_where_and_by_what_it_was_saved_does_not(base: Path, folder: Path, name: str) -> None:
    edit_json(folder / "config.json", lambda c: c.update({name: "other"}))
    assert of(folder) == of(base)


def test_the_precision_it_runs_in_does_not(base: Path) -> None:
    fp32, bf16 = (
        Base(EngineConfig(base=str(base), dtype=dtype)) for dtype in ("float32", "bfloat16")
    )
    assert (fp32.numerics.name, bf16.numerics.name) == ("float32", "bfloat16")
    assert fp32.fingerprint == bf16.fingerprint


def test_a_base_without_safetensors_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.bin")
    with pytest.raises(BadBase, match="no safetensors weights; pickled weights are never read"):
        of(folder)
