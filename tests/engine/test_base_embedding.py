"""What sentence-transformers' files beside a base say of its embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.base_embedding import read_base_embedding
from engine.errors import BadBase
from engine.results import BaseEmbedding

TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def folder(tmp_path: Path, modules: Any, pooling: dict[str, Any], **files: Any) -> Path:
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in {"modules": modules, **files}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def read(path: Path, architecture: str = "encoder") -> BaseEmbedding:
    return read_base_embedding(path, architecture, 512)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls", "embedding_dimension": 4}, "cls"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({}, "mean"),
    ],
)
def test_poolings_are_read_as_every_release_wrote_them(
    tmp_path: Path, config: dict[str, Any], pooling: str
) -> None:
    found = read(folder(tmp_path, [TRANSFORMER, POOLING], config))
    assert (found.pooling, found.normalize, found.problem) == (pooling, False, "")


def test_lengths_and_prompts_are_those_of_the_files(tmp_path: Path) -> None:
    found = read(
        folder(
            tmp_path, [TRANSFORMER, POOLING, NORMALIZE], {"pooling_mode": "mean"},
            sentence_bert_config={"max_seq_length": 256},
            config_sentence_transformers={
                "prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"
            },
        )
    )  # fmt: skip
    assert (found.normalize, found.max_tokens) == (True, 256)
    assert found.prompts == {"query": "query: ", "document": ""}
    assert found.default_prompt == "query: "


@pytest.mark.parametrize(
    ("modules", "config", "word"),
    [
        ([TRANSFORMER, POOLING, {"path": "2", "type": "x.Dense"}], {}, "Dense"),
        ([TRANSFORMER, POOLING], {"pooling_mode_max_tokens": True}, "max"),
        (
            [TRANSFORMER, POOLING],
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls with mean",
        ),
        ([TRANSFORMER], {}, "no Pooling"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_named_and_never_ignored(
    tmp_path: Path, modules: Any, config: dict[str, Any], word: str
) -> None:
    assert word in read(folder(tmp_path, modules, config)).problem


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(BadBase, match=r"modules\.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "pooling"), [("encoder", "mean"), ("decoder", "last"), ("seq2seq", "")]
)
def test_without_files_the_architecture_decides(
    tmp_path: Path, architecture: str, pooling: str
) -> None:
    assert read(tmp_path, architecture).pooling == pooling
