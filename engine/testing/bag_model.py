"""A linear model over hashed bags of token ids: what the fake engine loads, asks, trains and saves.

NumPy only, so that everything above the port can be tested in milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save_file

from engine import port
from engine.adapter_formats.base_names import ServedBase, base_doubt
from engine.errors import BadAdapter, WrongBase, read_error
from engine.heads import HEADS, PREDICTION_HEADS, find_head
from engine.port import IGNORED

WIDTH = 256
Floats = NDArray[np.float32]
_PREFIX = "base_model.model.classifier"


@dataclass(slots=True, kw_only=True)
class BagModel:
    """One adapter of the fake engine: a head's settings and the linear that answers for it."""

    weight: Floats
    bias: Floats
    head: dict[str, Any]

    @classmethod
    def zeros(cls, head: dict[str, Any]) -> BagModel:
        head = find_head(head).check(head)
        # a head without outputs of its own answers the features themselves
        outputs = _num_outputs(head)
        weight = np.zeros((outputs, WIDTH), np.float32) if outputs != WIDTH else np.eye(WIDTH)
        return cls(
            weight=weight.astype(np.float32),
            bias=np.zeros(len(weight), np.float32),
            head=head,
        )

    @classmethod
    def random(cls, head: dict[str, Any], seed: int) -> BagModel:
        rng = np.random.default_rng(seed)
        model = cls.zeros(head)
        model.weight = rng.normal(size=model.weight.shape).astype(np.float32)
        model.bias = rng.normal(size=model.bias.shape).astype(np.float32)
        return model

    @classmethod
    def read(cls, files: dict[str, Path], semantics: dict[str, Any]) -> BagModel:
        try:
            tensors = load(files["adapter"].read_bytes())
        except OSError as error:
            raise read_error("the adapter file", error) from error
        weight, head = tensors[f"{_PREFIX}.weight"], semantics["head"]
        if weight.shape[0] != _num_outputs(head):
            raise BadAdapter(
                f"the head has {weight.shape[0]} outputs, its labels are {head.get('labels')}"
            )
        return cls(weight=weight, bias=tensors[f"{_PREFIX}.bias"], head=head)

    @property
    def per_token(self) -> bool:
        return HEADS[self.head["kind"]].per_token

    @property
    def num_parameters(self) -> int:
        return self.weight.size + self.bias.size

    def copy(self) -> BagModel:
        return BagModel(weight=self.weight.copy(), bias=self.bias.copy(), head=self.head)

    def logits(self, ids: list[int]) -> Floats:
        """[outputs] for the row, or [tokens, outputs] when the head answers per token."""
        if self.per_token:
            return np.stack([self._answer([i]) for i in ids]).astype(np.float32)
        return self._answer(ids)

    def learn(self, step: port.Train) -> port.Trained:
        """One step of gradient descent, by the head's own loss written out for a linear model.

        An embedding stays as it is: its loss is one of pairs.
        """
        losses, norm = [0.0] if self.head["kind"] == "embed" else [], 0.0
        rate = np.float32(step.learning_rate * 50 / len(step.rows))
        for ids, target in self._units(step):
            x = features(ids)
            loss, gradient = _loss(self.head["kind"], self._answer(ids), target)
            losses.append(loss)
            norm += float(np.square(gradient).sum())
            self.weight -= rate * np.outer(gradient, x)
            self.bias -= rate * gradient
        return port.Trained(loss=float(np.mean(losses)), grad_norm=norm**0.5)

    def save(self, directory: Path, head_settings: dict[str, Any] | None = None) -> port.Saved:
        tensors = {f"{_PREFIX}.weight": self.weight, f"{_PREFIX}.bias": self.bias}
        save_file(tensors, directory / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 8, "target_modules": ["query"]}
        config["fake_head"] = {**self.head, **(head_settings or {})}
        (directory / "adapter_config.json").write_text(json.dumps(config))
        inspected = inspect_bag(directory, None)
        return port.Saved(semantics=inspected.semantics, files=inspected.files, unmoved=[])

    def _answer(self, ids: list[int]) -> Floats:
        answer: Floats = self.weight @ features(ids) + self.bias
        return answer

    def _units(self, step: port.Train) -> list[tuple[list[int], Any]]:
        """What is learned one by one: rows, or tokens that are not ignored."""
        pairs = list(zip(step.rows, step.targets, strict=True))
        if self.head["kind"] == "embed":
            return []
        if self.head["kind"] == "span":
            return [
                ([token], [position == target[0], position == target[1]])
                for row, target in pairs
                for position, token in enumerate(row.ids)
            ]
        if not self.per_token:
            return [(row.ids, target) for row, target in pairs]
        tokens = [pair for row, tags in pairs for pair in zip(row.ids, tags, strict=True)]
        return [([i], tag) for i, tag in tokens if tag != IGNORED]


def inspect_bag(
    directory: Path, head: dict[str, Any] | None, other_base: bool = False
) -> port.Inspected:
    """What a directory holds; `head` completes or overrides what it says."""
    try:
        config = json.loads((directory / "adapter_config.json").read_text())
        tensors = load((directory / "adapter_model.safetensors").read_bytes())
    except (OSError, ValueError) as error:
        raise BadAdapter(f"the directory holds no adapter: {error}") from error
    settings = {**config.get("fake_head", {}), **(head or {})}
    semantics = {
        "kind": "lora",
        "kind_config": {"r": 8},
        "sites": ["encoder.layer.0.attention.self.query"],
        "head": find_head(settings).check(settings),
    }
    files = {"config": "adapter_config.json", "adapter": "adapter_model.safetensors"}
    count = sum(int(tensor.size) for tensor in tensors.values())
    claimed = config.get("base_model_name_or_path") or ""
    doubt = base_doubt(claimed, ServedBase(name="fake"))
    if doubt is not None and doubt.is_other and not other_base:
        raise WrongBase(doubt.sentence)
    return port.Inspected(
        semantics=semantics,
        files=files,
        num_parameters=count,
        warnings=[] if doubt is None or doubt.is_other else [doubt.sentence],
        other_base=claimed if doubt is not None and doubt.is_other else "",
    )


def _num_outputs(head: dict[str, Any]) -> int:
    """At least one: a head without weights of its own would make all versions alike."""
    if head["kind"] == "embed":
        return WIDTH
    kind = PREDICTION_HEADS.get(head["kind"])
    return kind.num_outputs(head) if kind is not None else 1


def features(ids: list[int]) -> Floats:
    """Hashed counts of neighbouring pairs."""
    counts: Floats = np.zeros(WIDTH, np.float32)
    for left, right in zip(ids, [*ids[1:], 0], strict=True):
        counts[(left * 31 + right * 17) % WIDTH] += 1
    return counts / np.float32(max(len(ids), 1) ** 0.5)


def _loss(kind: str, logits: Floats, target: Any) -> tuple[float, Floats]:
    if kind == "regress":
        error = np.float32(logits[0] - target)
        return float(error**2), np.array([2 * error], np.float32)
    if kind == "rerank" or isinstance(target, list):
        expected = np.array(target, np.float32).reshape(-1)
        share = 1 / (1 + np.exp(-logits))
        return float(np.square(share - expected).mean()), (share - expected).astype(np.float32)
    shifted = np.exp(logits - logits.max())
    p = shifted / shifted.sum()
    gradient = p.copy()
    gradient[target] -= 1
    return float(-np.log(p[target] + 1e-9)), gradient.astype(np.float32)
