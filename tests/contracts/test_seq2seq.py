"""Encoders with decoders write what stock `generate` writes, and train as PEFT trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.training.training import Training
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.test_generate import write
from tests.contracts.tiny import SEQ2SEQ

FAMILIES = sorted(SEQ2SEQ)
HEAD = {"kind": "generate"}
#: linears of the encoder, of the decoder, and what the decoder reads the encoder with
TARGETS = {
    "t5": ["SelfAttention.q", "EncDecAttention.k", "EncDecAttention.q", "DenseReluDense.wo"],
    "bart": ["self_attn.v_proj", "encoder_attn.k_proj", "encoder_attn.v_proj", "fc1"],
}
SCALED: dict[str, dict[str, list[str]]] = {
    "t5": {"target_modules": ["k", "v", "wo"], "feedforward_modules": ["wo"]},
    "bart": {"target_modules": ["k_proj", "v_proj", "fc2"], "feedforward_modules": ["fc2"]},
}
TINY_T5 = Path(__file__).resolve().parents[3] / "shared" / "models" / "tiny-t5"
MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]


def stock(folder: Path) -> Any:
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    assert model.config._attn_implementation == "eager"
    return model


def adapter(folder: Path, family: str, seed: int, target: Path) -> tuple[Path, Any]:
    torch.manual_seed(seed)
    config: PeftConfig = LoraConfig(
        task_type="SEQ_2_SEQ_LM", target_modules=TARGETS[family], r=2 + seed, lora_alpha=8,
        use_dora=seed == 1,
    )  # fmt: skip
    if seed == 2:
        config = IA3Config(task_type="SEQ_2_SEQ_LM", **SCALED[family])
    model = get_peft_model(stock(folder), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.eval().save_pretrained(target)
    return target, model


def expected(model: Any, ids: list[int], length: int = 12) -> port.SequenceOutput:
    given = torch.tensor([ids])
    with torch.inference_mode():
        out = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), do_sample=False,
            max_new_tokens=length,
        )[0, 1:].tolist()  # fmt: skip
    if out[-1] == 2:
        return port.SequenceOutput(ids=out[:-1], finish="stop")
    return port.SequenceOutput(ids=out, finish="length")


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_lora_dora_and_ia3_write_what_each_writes_alone_with_peft(
    make_engine: MakeBench, base_folder: Folder, family: str, tmp_path: Path
) -> None:
    under_test = make_engine(family)
    made = [adapter(base_folder(family), family, n, tmp_path / str(n)) for n in range(3)]
    models = {under_test.load(directory, HEAD): model for directory, model in made}
    bare = stock(base_folder(family))
    rows = [(ids, digest) for ids in ROWS for digest in (*models, None)]
    for (ids, digest), written in zip(rows, write(under_test, rows), strict=True):
        assert written == expected(models[digest] if digest else bare, ids), (ids, digest)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_equals_pefts_steps(
    make_engine: MakeBench, base_folder: Folder, family: str, tmp_path: Path
) -> None:
    under_test = make_engine(family)
    spec = port.OpenTraining(
        kind="lora", kind_config={"rank": 4, "targets": TARGETS[family]}, head=HEAD, seed=3,
        dropout=0.0, head_dropout=0.0, weight_decay=0.0, max_grad_norm=1e9,
    )  # fmt: skip
    slot = under_test.ask(spec).slot
    under_test.ask(port.Save(slot=slot, directory=str(tmp_path)))
    oracle = PeftModel.from_pretrained(stock(base_folder(family)), tmp_path, is_trainable=True)
    targets = [[*ids[1:-1], 9, 2] for ids in reversed(ROWS)]
    ours = [_our_step(under_test, slot, targets, number) for number in range(3)]
    np.testing.assert_allclose(ours, _their_steps(oracle, targets, 3), rtol=1e-4)
    assert under_test.ask(port.Save(slot=slot, directory=str(tmp_path))).unmoved == []


def _our_step(
    under_test: EngineUnderTest, slot: int, targets: list[list[int]], number: int
) -> float:
    step = port.Train(
        slot=slot, rows=[port.Row.of(ids=ids, slot=slot) for ids in ROWS],
        keys=list(range(len(ROWS))), targets=targets, learning_rate=0.01, step=number,
    )  # fmt: skip
    return float(under_test.ask(step).loss)


def _their_steps(oracle: Any, targets: list[list[int]], count: int) -> list[float]:
    weights = [p for p in oracle.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.0)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = oracle.eval()(
            input_ids=_padded(ROWS, 1), labels=_padded(targets, -100),
            attention_mask=_padded([[1] * len(row) for row in ROWS], 0),
        ).loss  # fmt: skip
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def test_the_tokens_of_long_answers_count_in_the_size_of_a_part(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("t5")
    slot = under_test.ask(
        port.OpenTraining(kind="lora", kind_config={"rank": 4}, head=HEAD, seed=3)
    ).slot
    monkeypatch.setattr("engine.training.training._MAX_TOKENS", 60)
    parts = []
    backward = Training._backward
    monkeypatch.setattr(
        Training,
        "_backward",
        lambda self, step, part, *rest: parts.append(part) or backward(self, step, part, *rest),
    )
    _our_step(under_test, slot, [[9] * 30 for _ in ROWS], 0)
    assert parts == [range(number, number + 1) for number in range(len(ROWS))]


def test_a_family_that_writes_refuses_other_heads(make_engine: MakeBench) -> None:
    head = {"kind": "classify", "labels": ["a", "b"], "pooling": "mean"}
    spec = port.OpenTraining(kind="lora", kind_config={}, head=head, seed=1)
    assert "generates text" in make_engine("t5").refusal(spec).message


def test_a_pretrained_t5_writes_what_transformers_writes_with_it() -> None:
    if not TINY_T5.is_dir():
        pytest.skip(f"{TINY_T5.name} is not here")
    engine = Engine(EngineConfig(base=str(TINY_T5), dtype="float32", threads=1, num_slots=2))
    tokenizer = AutoTokenizer.from_pretrained(TINY_T5)
    model = AutoModelForSeq2SeqLM.from_pretrained(TINY_T5, dtype=torch.float32).eval()
    ids = tokenizer("sentiment: what a lovely day")["input_ids"]
    theirs = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, 1:]
    begin = port.StartSequence(key=1, row=port.Row.of(ids=ids), max_tokens=12)
    decoded = engine.step(port.Generate(begin=[begin], num_tokens=12))
    assert isinstance(decoded, port.Generated)
    [written] = decoded.rows
    assert isinstance(written, port.SequenceOutput)
    assert written.ids == [token for token in theirs.tolist() if token not in engine.info.end_ids]
