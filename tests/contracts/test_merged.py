"""A version as a model of its own answers as the engine does, and as PEFT's merge does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from engine.errors import NotExportable, WrongBase
from engine.exports.conversion import Conversion
from engine.exports.merged_directory import read_merged
from engine.exports.onnx_file import open_onnx
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.test_generate import LENGTH, write
from tests.contracts.tiny import BASES, SEQ2SEQ
from tests.contracts.tuned import stock_model

MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]
#: what is folded, and each way a head is written
CASES = [
    *(Case(family, "lora", "classify", "mean") for family in sorted(BASES)),
    *(Case("bert", each, "classify", "native") for each in ("lora", "dora", "ia3", "lora-biases")),
    *(Case("bert", "bias", head, "native") for head in ("regress", "tag", "rerank", "span")),
    *(Case("qwen2", "lora", "classify", pooling) for pooling in ("native", "last")),
    *(Case("gpt2", each, "regress", "native") for each in ("lora", "dora", "ia3")),
    *(Case("roberta", "lora", "embed", pooling) for pooling in ("mean", "cls")),
    Case("bert", "head_only", "classify", "cls"),
]


def written(under_test: EngineUnderTest, case: Case) -> tuple[Path, str]:
    """The files of a version as an export has them, and its digest in the engine."""
    adapter = under_test.adapter(case, scale=0.1)
    directory = under_test.write(adapter)
    base = {"fingerprint": under_test.base.fingerprint, "name": under_test.base.name}
    manifest = {"base": base, "semantics": {"head": adapter.head}}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory, under_test.load(directory, adapter.head)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_merged_version_gives_the_logits_of_the_engine(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, case: Case
) -> None:
    under_test = make_engine(case.family)
    directory, digest = written(under_test, case)
    conversion = Conversion(str(base_folder(case.family)), directory)
    conversion.write(tmp_path, as_onnx=False)
    model = read_merged(tmp_path, under_test.base)
    answers = under_test.answers([(ids, digest) for ids in ROWS])
    for ids, answer in zip(ROWS, answers, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))[0]
        np.testing.assert_allclose(logits.numpy(), answer, atol=2e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "qwen2", "gpt2"])
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_a_merged_lora_is_what_peft_merges(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, family: str, variant: str
) -> None:
    under_test = make_engine(family)
    directory, _ = written(under_test, Case(family, variant, "classify", "native"))
    conversion = Conversion(str(base_folder(family)), directory)
    assert conversion.write(tmp_path, as_onnx=False) == "AutoModelForSequenceClassification"
    ours = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    tuned = PeftModel.from_pretrained(stock_model(base_folder(family), "classify"), directory)
    theirs = tuned.merge_and_unload().state_dict()
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-5, rtol=1e-5)


def test_the_labels_are_those_of_the_version(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path
) -> None:
    directory, _ = written(make_engine("bert"), Case("bert", "lora", "classify", "native"))
    Conversion(str(base_folder("bert")), directory).write(tmp_path, as_onnx=False)
    config = AutoModelForSequenceClassification.from_pretrained(tmp_path).config
    assert config.id2label == {0: "red", 1: "green", 2: "blue"}


@pytest.mark.parametrize("family", ["qwen2", "gpt2", *sorted(SEQ2SEQ)])
def test_a_merged_version_that_generates_writes_what_the_engine_writes(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, family: str
) -> None:
    under_test = make_engine(family)
    directory, digest = written(under_test, Case(family, "lora", "generate", "native"))
    conversion = Conversion(str(base_folder(family)), directory)
    conversion.write(tmp_path, as_onnx=False)
    model = read_merged(tmp_path, under_test.base)
    for ids, text in zip(ROWS, write(under_test, [(ids, digest) for ids in ROWS]), strict=True):
        given = torch.tensor([ids])
        output = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), do_sample=False,
            max_new_tokens=LENGTH, output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        new = output.sequences[0][-len(output.scores) :].tolist()
        assert (new[:-1] if new[-1] == 2 else new) == text.ids


def test_a_model_that_writes_is_read_once_for_all_texts(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, _ = written(make_engine("gpt2"), Case("gpt2", "lora", "generate", "native"))
    conversion = Conversion(str(base_folder("gpt2")), directory)
    conversion.write(tmp_path, as_onnx=False)
    reads: list[Path] = []

    def read(folder: Path, base: Any) -> Any:
        reads.append(folder)
        return read_merged(folder, base)

    monkeypatch.setattr("engine.exports.conversion.read_merged", read)
    assert len(conversion.answers(tmp_path, ["w7", "w8 w9", "w3"], as_onnx=False)) == 3
    assert reads == [tmp_path]


@pytest.mark.parametrize(
    "case",
    [Case("gpt2", "lora", "generate", "native"), Case("bert", "lora", "classify", "native")],
    ids=str,
)
def test_a_tokenizer_that_reads_other_tokens_is_refused(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, case: Case
) -> None:
    directory, _ = written(make_engine(case.family), case)
    conversion = Conversion(str(base_folder(case.family)), directory)
    conversion.write(tmp_path, as_onnx=False)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"w7"', '"w_7"'))
    with pytest.raises(NotExportable, match="the tokenizer that was written reads 'w7' as"):
        conversion.answers(tmp_path, ["w7"], as_onnx=False)


def test_what_has_no_onnx_form_is_refused_before_anything_is_written(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    directory, _ = written(make_engine("gpt2"), Case("gpt2", "lora", "generate", "native"))
    with pytest.raises(NotExportable, match="generates text token by token"):
        Conversion(str(base_folder("gpt2")), directory).write(out, as_onnx=True)
    directory, _ = written(make_engine("bert"), Case("bert", "lora", "classify", "native"))
    monkeypatch.setattr("engine.exports.onnx_file.find_spec", lambda name: None)
    with pytest.raises(NotExportable, match=r"ONNX needs the package onnx; run `pip install"):
        Conversion(str(base_folder("bert")), directory).write(out, as_onnx=True)
    assert list(out.iterdir()) == []


def test_what_the_exporter_and_the_runtime_say_is_passed_on(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("no operator for it\nand much more")

    directory, _ = written(make_engine("bert"), Case("bert", "lora", "classify", "native"))
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(NotExportable, match=r"It says: no operator for it$"):
        Conversion(str(base_folder("bert")), directory).write(tmp_path, as_onnx=True)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(NotExportable, match="onnxruntime cannot load the graph"):
        open_onnx(tmp_path)


@pytest.mark.parametrize("variant", ["bottleneck", "pfeiffer", "parallel"])
def test_layers_that_are_added_cannot_be_merged(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, variant: str
) -> None:
    directory, _ = written(make_engine("bert"), Case("bert", variant, "classify", "mean"))
    with pytest.raises(NotExportable, match="adds layers to the base"):
        Conversion(str(base_folder("bert")), directory).write(tmp_path, as_onnx=False)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_a_version_of_another_base_is_refused_with_both_fingerprints(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path
) -> None:
    directory, _ = written(make_engine("bert"), Case("bert", "lora", "classify", "mean"))
    with pytest.raises(WrongBase, match="the version was made for the base"):
        Conversion(str(base_folder("roberta")), directory)


#: one of them in the quick run: the exporter takes many seconds
GRAPHS = [
    Case("distilbert", "ia3", "regress", "mean"), Case("bert", "lora", "classify", "mean"),
    Case("bert", "lora", "classify", "native"), Case("bert", "lora", "tag", "native"),
    Case("roberta", "lora", "embed", "cls"),
]  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case), marks=pytest.mark.slow if n else ())
        for n, case in enumerate(GRAPHS)
    ],
)
def test_an_onnx_graph_gives_the_logits_of_the_engine(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path, case: Case
) -> None:
    under_test = make_engine(case.family)
    directory, digest = written(under_test, case)
    conversion = Conversion(str(base_folder(case.family)), directory)
    assert conversion.write(tmp_path, as_onnx=True) == "onnxruntime"
    compute = open_onnx(tmp_path)
    answers = under_test.answers([(ids, digest) for ids in ROWS])
    for ids, answer in zip(ROWS, answers, strict=True):
        logits = compute(padded(under_test, [ids]))[0]
        np.testing.assert_allclose(logits, answer, atol=2e-4)
    batch = compute(padded(under_test, ROWS))
    for ids, logits, answer in zip(ROWS, batch, answers, strict=True):
        kept = logits[: len(ids)] if logits.ndim > 1 else logits
        np.testing.assert_allclose(kept, answer, atol=2e-4)


def padded(under_test: EngineUnderTest, rows: list[list[int]]) -> dict[str, np.ndarray]:
    """The rows as the graph takes them."""
    longest = max(map(len, rows))
    ids = np.array([[*row, *[1] * (longest - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask}
    has_types = under_test.base.family.token_types
    return {**inputs, "token_type_ids": ids * 0} if has_types else inputs
