"""A fake engine that keeps the port's contract without torch: linear models over hashed bags of token ids.

It loads, places, predicts, trains and saves for real, in NumPy, so that everything above the port can be tested in
milliseconds. Digests still decide answers, failures still travel as values, and training still learns.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import load, save_file

from engine import port
from engine.errors import BadAdapter, BadRow, EngineError, EngineGone, NotLoaded
from engine.heads import HEADS, head_kind

_WIDTH = 256
_TRAINING_SLOTS = 1000
Floats = NDArray[np.float32]


@dataclass(slots=True)
class _Weights:
    weight: Floats
    bias: Floats
    head: dict[str, Any]

    def copy(self) -> _Weights:
        return _Weights(self.weight.copy(), self.bias.copy(), self.head)


@dataclass(slots=True)
class _Training:
    weights: _Weights
    best: _Weights
    seed: int


@dataclass(slots=True)
class FakeEngine:
    """An `EnginePort`. Set `broken` to make the next steps fail, call `die()` to lose everything as a crash would."""

    loaded: dict[str, _Weights] = field(default_factory=dict)
    placed: dict[int, str] = field(default_factory=dict)
    training: dict[int, _Training] = field(default_factory=dict)
    #: every step submitted, for tests that count
    steps: list[port.Step] = field(default_factory=list)
    #: raised by the next submits of a step of this type
    broken: dict[type, EngineError] = field(default_factory=dict)
    #: token id whose rows fail alone
    poison: int | None = None
    generation: int = 1
    num_slots: int = 8
    closed: bool = False

    @property
    def info(self) -> port.EngineInfo:
        return fake_info(self.num_slots)

    def submit(self, step: port.Step) -> Future[port.Result]:
        self.steps.append(step)
        future: Future[port.Result] = Future()
        try:
            future.set_result(self._run(step))
        except EngineError as error:
            future.set_exception(error)
        return future

    def die(self) -> None:
        """Everything loaded is gone, as after a crash and restart."""
        self.generation += 1
        self.loaded, self.placed, self.training = {}, {}, {}

    def close(self) -> None:
        self.closed = True

    def _run(self, step: port.Step) -> port.Result:
        if self.closed:
            raise EngineGone
        if type(step) in self.broken:
            raise self.broken[type(step)]
        match step:
            case port.Load():
                self.loaded[step.digest] = _read(
                    {f.role: Path(f.path) for f in step.files}, step.semantics
                )
                return port.Loaded(num_bytes=self.loaded[step.digest].weight.nbytes)
            case port.Unload():
                self.loaded.pop(step.digest, None)
                self.placed = {s: d for s, d in self.placed.items() if d != step.digest}
            case port.Evict():
                self.placed = {s: d for s, d in self.placed.items() if s not in step.slots}
            case port.Inspect():
                return _inspect(Path(step.directory), step.head)
            case port.Predict():
                return self._predict(step)
            case port.Stats():
                sizes = {d: w.weight.nbytes for d, w in self.loaded.items()}
                return port.Resident(
                    loaded=sizes,
                    placed=dict(self.placed),
                    training=sorted(self.training),
                    cache_bytes=0,
                )
            case _:
                return self._train(step)
        return port.Done()

    def _predict(self, step: port.Predict) -> port.Predicted:
        for slot, digest in step.place.items():
            if digest not in self.loaded:
                raise NotLoaded(f"slot {slot} was to hold {digest}, which is not loaded")
            self.placed[slot] = digest
        return port.Predicted(
            rows=[self._row(row) for row in step.rows],
            forward_s=1e-4,
            num_tokens=sum(len(row.ids) for row in step.rows),
            num_adapters=len({row.slot for row in step.rows if row.slot}),
        )

    def _row(self, row: port.Row) -> port.Array | port.Failure:
        if not row.ids or self.poison in row.ids:
            return port.Failure(code=BadRow.code, message="the row cannot be computed")
        weights = self._weights(row.slot)
        features = (
            [_features([i]) for i in row.ids] if _per_token(weights.head) else [_features(row.ids)]
        )
        logits = np.stack([weights.weight @ f + weights.bias for f in features]).astype(np.float32)
        return port.Array.of(logits if _per_token(weights.head) else logits[0])

    def _weights(self, slot: int) -> _Weights:
        if slot in self.training:
            return self.training[slot].weights
        if slot not in self.placed:
            raise NotLoaded(f"slot {slot} holds nothing")
        return self.loaded[self.placed[slot]]

    def _train(self, step: port.Step) -> port.Result:
        if isinstance(step, port.OpenTraining):
            return self._open(step)
        assert not isinstance(
            step, port.Load | port.Unload | port.Inspect | port.Predict | port.Evict | port.Stats
        )
        if step.slot not in self.training:
            raise NotLoaded(f"slot {step.slot} is not training")
        training = self.training[step.slot]
        match step:
            case port.Train():
                return _learn(training.weights, step)
            case port.Snapshot():
                training.best = training.weights.copy()
            case port.Restore():
                training.weights = training.best.copy()
            case port.Save():
                return _save(training, Path(step.directory))
            case port.CloseTraining():
                del self.training[step.slot]
        return port.Done()

    def _open(self, step: port.OpenTraining) -> port.TrainingOpened:
        head = head_kind(step.head).check(step.head)
        outputs = HEADS[head["kind"]].num_outputs(head)
        weights = _Weights(
            np.zeros((outputs, _WIDTH), np.float32), np.zeros(outputs, np.float32), head
        )
        slot = max(self.training, default=_TRAINING_SLOTS) + 1
        self.training[slot] = _Training(weights, weights.copy(), step.seed)
        return port.TrainingOpened(
            slot=slot, num_trainable=weights.weight.size + outputs, num_base=_WIDTH * 100
        )


def fake_info(num_slots: int = 8) -> port.EngineInfo:
    """What the fake says of itself: a two-layer base of width 256 and a whitespace tokenizer."""
    return port.EngineInfo(
        base="fake", fingerprint="f" * 64, family="bert", hidden_size=_WIDTH, num_layers=2, max_tokens=128,
        dtype="float32", device="cpu", num_threads=1, packed=True, num_slots=num_slots, slot_bytes=2**20,
        sites=[port.Site(name="encoder.layer.0.attention.self.query", layer=0, in_features=4, out_features=4)],
        sublayers=[], kinds=["lora", "bottleneck"], heads=list(HEADS), tokenizer_json=fake_tokenizer_json(),
    )  # fmt: skip


def fake_tokenizer_json() -> str:
    """Byte-level, so that any text has tokens; words split at spaces and punctuation."""
    vocabulary = {"[CLS]": 0, "[SEP]": 1}
    for letter in tokenizers.pre_tokenizers.ByteLevel.alphabet():
        vocabulary[letter] = len(vocabulary)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    return str(tokenizer.to_str())


def write_fake_adapter(
    directory: Path,
    labels: list[str] | None = None,
    seed: int = 0,
    head: dict[str, Any] | None = None,
) -> Path:
    """A version directory the fake can load; every seed is another digest."""
    head = head or {"kind": "classify", "labels": labels or ["no", "yes"], "pooling": "native"}
    head = head_kind(head).check(head)
    rng = np.random.default_rng(seed)
    outputs = HEADS[head["kind"]].num_outputs(head)
    weights = _Weights(
        rng.normal(size=(outputs, _WIDTH)).astype(np.float32),
        rng.normal(size=outputs).astype(np.float32),
        head,
    )
    directory.mkdir(parents=True, exist_ok=True)
    _save(_Training(weights, weights, seed), directory)
    return directory


def _per_token(head: dict[str, Any]) -> bool:
    return HEADS[head["kind"]].per_token


def _features(ids: list[int]) -> Floats:
    counts: Floats = np.zeros(_WIDTH, np.float32)
    for left, right in zip(ids, [*ids[1:], 0], strict=True):
        counts[(left * 31 + right * 17) % _WIDTH] += 1
    return counts / np.float32(max(len(ids), 1) ** 0.5)


def _learn(weights: _Weights, step: port.Train) -> port.Trained:
    """One step of gradient descent, by the head's own loss written out for a linear model."""
    losses, norm = [], 0.0
    for row, target in zip(step.rows, step.targets, strict=True):
        units = (
            [([i], t) for i, t in zip(row.ids, target, strict=True)]
            if _per_token(weights.head)
            else [(row.ids, target)]
        )
        for ids, wanted in units:
            if wanted == -100:
                continue
            x = _features(ids)
            logits = weights.weight @ x + weights.bias
            loss, gradient = _loss(weights.head["kind"], logits, wanted)
            losses.append(loss)
            norm += float(np.square(gradient).sum())
            rate = np.float32(step.learning_rate * 50 / len(step.rows))
            weights.weight -= rate * np.outer(gradient, x)
            weights.bias -= rate * gradient
    return port.Trained(loss=float(np.mean(losses)), grad_norm=norm**0.5)


def _loss(kind: str, logits: Floats, target: Any) -> tuple[float, Floats]:
    if kind == "regress":
        error = np.float32(logits[0] - target)
        return float(error**2), np.array([2 * error], np.float32)
    shifted = np.exp(logits - logits.max())
    p = shifted / shifted.sum()
    gradient = p.copy()
    gradient[target] -= 1
    return float(-np.log(p[target] + 1e-9)), gradient.astype(np.float32)


def _save(training: _Training, directory: Path) -> port.Saved:
    weights = training.weights
    tensors = {
        "base_model.model.classifier.weight": weights.weight,
        "base_model.model.classifier.bias": weights.bias,
    }
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 8, "target_modules": ["query"], "fake_head": weights.head}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    inspected = _inspect(directory, None)
    return port.Saved(semantics=inspected.semantics, files=inspected.files, unmoved=[])


def _inspect(directory: Path, head: dict[str, Any] | None) -> port.Inspected:
    try:
        config = json.loads((directory / "adapter_config.json").read_text())
        tensors = load((directory / "adapter_model.safetensors").read_bytes())
    except (OSError, ValueError) as error:
        raise BadAdapter(f"the directory holds no adapter: {error}") from error
    settings = {**config.get("fake_head", {}), **(head or {})}
    semantics = {
        "kind": "lora", "kind_config": {"r": 8}, "sites": ["encoder.layer.0.attention.self.query"],
        "head": head_kind(settings).check(settings),
    }  # fmt: skip
    files = {"config": "adapter_config.json", "adapter": "adapter_model.safetensors"}
    count = sum(int(tensor.size) for tensor in tensors.values())
    return port.Inspected(semantics=semantics, files=files, num_parameters=count)


def _read(files: dict[str, Path], semantics: dict[str, Any]) -> _Weights:
    data = files["adapter"].read_bytes()
    tensors = load(data)
    weight = tensors["base_model.model.classifier.weight"]
    head = semantics["head"]
    if weight.shape[0] != HEADS[head["kind"]].num_outputs(head):
        raise BadAdapter(
            f"the head has {weight.shape[0]} outputs, its labels are {head.get('labels')}"
        )
    return _Weights(weight, tensors["base_model.model.classifier.bias"], head)
