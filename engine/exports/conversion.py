"""Writes a version's files as a model of its own, and answers with what was written.

Knows no server: its answers are for comparing with one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoTokenizer

from engine.adapter_formats.config_fields import text
from engine.adapter_formats.head_config import part
from engine.adapters.adapter import Adapter, adapter_of
from engine.adapters.directory import read_files, staged_files
from engine.config import EngineConfig
from engine.errors import NotExportable, WrongBase
from engine.exports.merged_directory import read_merged, write_merged
from engine.exports.onnx_file import check_packages, open_onnx, write_onnx
from engine.exports.task_model import INPUTS
from engine.heads import PREDICTION_HEADS, is_generation
from engine.heads.head import AnswerOptions
from engine.model.base import Base
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer

#: tokens of each text that is generated to be compared
NUM_TOKENS = 12
#: a text, or a pair of texts
Sample = str | tuple[str, str]
#: rows by the name of the input, to logits
Compute = Callable[[Mapping[str, NDArray[np.int64]]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedBase:
    """What a prompter must know of the base."""

    family: str
    end_ids: Sequence[int]
    chat_templates: Mapping[str, str]
    special_tokens: Mapping[str, str]


class Conversion:
    """One version on one base, which is read in float32 on the CPU."""

    def __init__(self, base: str, directory: Path) -> None:
        """`directory` holds the version's exported files. Raises BadBase, WrongBase, BadAdapter."""
        self._base = Base(
            EngineConfig(base=base, device="cpu", dtype="float32", packed=False, packed_bytes=0)
        )
        files = read_files(staged_files(directory), self._base.family)
        fingerprint = text(part(files.manifest, "base"), "fingerprint")
        if fingerprint != self._base.fingerprint:
            raise WrongBase(
                f"the version was made for the base {fingerprint[:12]}…; {base} is "
                f"{self._base.fingerprint[:12]}…. Name the server's base with --base"
            )
        self._adapter: Adapter = adapter_of(files, self._base, None)
        self._tokenizer = Tokenizer(self._base.tokenizer_json, self._base.max_tokens)

    @property
    def head(self) -> Mapping[str, Any]:
        return self._adapter.head

    def write(self, directory: Path, *, as_onnx: bool) -> str:
        """Into an existing directory; what loads it. Raises NotExportable."""
        check_form(self.head["kind"], as_onnx=as_onnx)
        try:
            loader = write_merged(self._adapter, self._base, directory)
        except SafetensorError as error:
            # what it makes of a full disk too
            raise NotExportable(f"the weights cannot be written: {error}") from error
        if not as_onnx:
            return loader
        write_onnx(read_merged(directory, self._base), directory, self._base)
        return "onnxruntime"

    def answers(
        self, directory: Path, samples: Sequence[Sample], *, as_onnx: bool
    ) -> list[dict[str, Any]]:
        """What the files in the directory say, in the form of the server's answers."""
        own = AutoTokenizer.from_pretrained(directory)
        if is_generation(self.head["kind"]):
            return self._write_texts(read_merged(directory, self._base), own, samples)
        model = None if as_onnx else read_merged(directory, self._base)
        compute = open_onnx(directory) if model is None else _torch_compute(model)
        return [self._answer(compute, own, sample) for sample in samples]

    def _answer(self, compute: Compute, own: Any, sample: Sample) -> dict[str, Any]:
        texts = (sample,) if isinstance(sample, str) else sample
        encoding = self._tokenizer.encode(*texts)
        if not encoding.truncated:
            _check_tokens(encoding.ids, list(own(*texts)["input_ids"]), texts[0])
        rows = np.array([encoding.ids, [1] * len(encoding.ids), encoding.type_ids], np.int64)
        names = INPUTS if self._base.family.token_types else INPUTS[:2]
        logits = compute({name: row[None] for name, row in zip(names, rows, strict=False)})[0]
        kind = PREDICTION_HEADS[self.head["kind"]]
        options = AnswerOptions(raw_scores=True)
        return kind.decode(logits, dict(self.head), encoding, texts[-1], options)

    def _write_texts(self, model: Any, own: Any, samples: Sequence[Sample]) -> list[dict[str, Any]]:
        base = self._base
        facts = PromptedBase(
            family=base.family.name, end_ids=base.end_ids, chat_templates=base.chat_templates,
            special_tokens=base.special_tokens,
        )  # fmt: skip
        prompter = Prompter(facts, self._tokenizer)
        return [self._write_text(model, own, prompter, sample) for sample in samples]

    def _write_text(
        self, model: Any, own: Any, prompter: Prompter, sample: Sample
    ) -> dict[str, Any]:
        """The most likely tokens, one after another."""
        assert isinstance(sample, str), "a version that generates is asked about texts"
        _check_tokens(
            self._tokenizer.ids(sample, special=True), list(own(sample)["input_ids"]), sample
        )
        ids = torch.tensor([prompter.tokens(sample, self.head)])
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1,
                max_new_tokens=NUM_TOKENS, repetition_penalty=1.0, output_scores=True,
                return_dict_in_generate=True,
            )  # fmt: skip
        new = output.sequences[0][-len(output.scores) :]
        shares = [torch.log_softmax(s[0].float(), -1) for s in output.scores]
        logprobs = [float(share[token]) for share, token in zip(shares, new, strict=True)]
        return {"text": prompter.text(new.tolist()), "logprobs": logprobs}


def check_form(head: str, *, as_onnx: bool) -> None:
    """Before gigabytes are read and written. Raises NotExportable."""
    if not as_onnx:
        return
    if is_generation(head):
        raise NotExportable(
            "the version generates text token by token, which is more than one ONNX graph; "
            "export it as merged"
        )
    check_packages()


def _torch_compute(model: Any) -> Compute:
    def compute(inputs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(*map(torch.from_numpy, inputs.values())).numpy()
        return logits

    return compute


def _check_tokens(known: list[int], own: list[int], sample: str) -> None:
    if own != known:
        raise NotExportable(
            f"the tokenizer that was written reads {sample[:40]!r} as {len(own)} other tokens than "
            f"the {len(known)} of the base's"
        )
