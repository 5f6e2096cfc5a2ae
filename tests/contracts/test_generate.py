"""Text is written as stock `generate` writes it, whoever else writes in the same forwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from engine import port
from engine.families import FAMILIES
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

DECODERS = sorted(f for f in BASES if FAMILIES[f].architecture == "decoder")
HEAD = {"kind": "generate"}
LENGTH = 12
TARGETS = {
    "gpt2": ["c_attn", "c_fc"],
    "llama": ["q_proj", "down_proj"],
    "qwen2": ["k_proj", "up_proj"],
    "qwen3": ["v_proj", "o_proj"],
    "gemma3": ["q_proj", "gate_proj"],
    "gpt_neox": ["query_key_value", "dense_4h_to_h"],
    "opt": ["v_proj", "fc2"],
    "phi3": ["qkv_proj", "gate_up_proj"],
}
MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]


@pytest.fixture
def adapters(base_folder: Folder, tmp_path: Path) -> Callable[..., list[tuple[Path, Any]]]:
    """Some of PEFT's adapters for a family: directory and live model."""

    def make(family: str, count: int) -> list[tuple[Path, Any]]:
        return [_peft(base_folder(family), family, n, tmp_path / f"peft{n}") for n in range(count)]

    return make


def _peft(folder: Path, family: str, seed: int, target: Path) -> tuple[Path, Any]:
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=TARGETS[family], r=2 + seed, lora_alpha=8,
        fan_in_fan_out=family == "gpt2",
    )  # fmt: skip
    model = get_peft_model(stock(folder), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.eval().save_pretrained(target)
    return target, model


def stock(folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    assert model.config._attn_implementation == "eager"
    return model


def expected(model: Any, ids: list[int], length: int = LENGTH) -> port.SequenceOutput:
    given = torch.tensor([ids])
    with torch.inference_mode():
        out = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), do_sample=False,
            max_new_tokens=length,
        )[0, len(ids) :].tolist()  # fmt: skip
    if out[-1] == 2:
        return port.SequenceOutput(ids=out[:-1], finish="stop")
    return port.SequenceOutput(ids=out, finish="length")


def write(
    under_test: EngineUnderTest,
    rows: Sequence[tuple[list[int], str | None]],
    length: int = LENGTH,
    num: int = 1,
) -> list[port.SequenceOutput | port.Failure]:
    """Rows of digests through as many steps as it takes."""
    digests = sorted({digest for _, digest in rows if digest})
    slots = {digest: slot for slot, digest in enumerate(digests, 1)}
    asked = [port.Row.of(ids=ids, slot=slots[d] if d else 0) for ids, d in rows]
    place = {slot: digest for digest, slot in slots.items()}
    keys = list(range(100, 100 + len(rows)))
    given = zip(keys, asked, strict=True)
    beginning = [port.StartSequence(key=key, row=row, max_tokens=length) for key, row in given]
    results = under_test.ask(port.Generate(begin=beginning, place=place)).rows
    answers = dict(zip(keys, results, strict=True))
    while going := [
        k for k, a in answers.items() if isinstance(a, port.SequenceOutput) and not a.finish
    ]:
        results = under_test.ask(port.Generate(keys=going, num_tokens=num)).rows
        for key, result in zip(going, results, strict=True):
            before = answers[key]
            assert isinstance(before, port.SequenceOutput)
            answers[key] = (
                port.SequenceOutput(ids=before.ids + result.ids, finish=result.finish)
                if isinstance(result, port.SequenceOutput)
                else result
            )
    assert under_test.ask(port.Stats()).running == []
    return [answers[key] for key in keys]


def begin(key: int, ids: list[int], length: int, slot: int = 0) -> port.StartSequence:
    return port.StartSequence(key=key, row=port.Row.of(ids=ids, slot=slot), max_tokens=length)


@pytest.mark.parametrize("family", DECODERS)
def test_rows_of_many_adapters_write_together_what_each_writes_alone_with_peft(
    make_engine: MakeBench, base_folder: Folder, adapters: Callable[..., Any], family: str
) -> None:
    under_test = make_engine(family)
    made = adapters(family, 2)
    models = {under_test.load(directory, HEAD): model for directory, model in made}
    bare = stock(base_folder(family))
    rows = [(ids, digest) for ids in ROWS for digest in (*models, None)]
    for (ids, digest), written in zip(rows, write(under_test, rows), strict=True):
        assert written == expected(models[digest] if digest else bare, ids), (ids, digest)


@pytest.mark.parametrize("family", ["gemma3", "gpt2"])
def test_padded_rows_write_the_same(make_engine: MakeBench, family: str) -> None:
    rows = [(ids, None) for ids in ROWS]
    assert write(make_engine(family, packed=False), rows) == write(make_engine(family), rows)


def test_several_tokens_a_step_are_the_same_tokens(make_engine: MakeBench) -> None:
    rows = [(ids, None) for ids in ROWS]
    assert write(make_engine("llama"), rows, num=5) == write(make_engine("llama"), rows)


def test_a_row_that_begins_while_others_write_changes_none_of_their_tokens(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("llama")
    alone = [write(under_test, [(ids, None)], 6)[0] for ids in ROWS[:2]]
    first = under_test.ask(port.Generate(begin=[begin(1, ROWS[0], 6)], num_tokens=3)).rows[0]
    both = under_test.ask(port.Generate(keys=[1], begin=[begin(2, ROWS[1], 6)])).rows
    rest = under_test.ask(port.Generate(keys=[1, 2], num_tokens=9)).rows
    assert first.ids + both[0].ids + rest[0].ids == alone[0].ids
    assert both[1].ids + rest[1].ids == alone[1].ids


def test_a_row_stops_at_the_end_of_what_the_base_reads(make_engine: MakeBench) -> None:
    written = write(make_engine("llama"), [([5] * 60, None)], length=50)[0]
    assert isinstance(written, port.SequenceOutput)
    assert written.finish == "stop" or len(written.ids) == 5


def test_a_released_row_is_gone(make_engine: MakeBench) -> None:
    under_test = make_engine("llama")
    under_test.ask(port.Generate(begin=[begin(7, ROWS[0], 9)]))
    assert under_test.ask(port.Stats()).running == [7]
    under_test.ask(port.FreeSequences(keys=[7, 8]))
    assert under_test.ask(port.Generate(keys=[7])).rows[0].code == "not_loaded"


def test_a_row_whose_slot_was_given_away_fails_and_its_neighbour_writes_on(
    make_engine: MakeBench, adapters: Callable[..., Any]
) -> None:
    under_test = make_engine("llama")
    first, second = (under_test.load(directory, HEAD) for directory, _ in adapters("llama", 2))
    rows = [begin(1, ROWS[0], 9, slot=1), begin(2, ROWS[1], 9, slot=2)]
    under_test.ask(port.Generate(begin=rows, place={1: first, 2: second}))
    under_test.ask(port.Evict(slots=[1]))
    lost, kept = under_test.ask(port.Generate(keys=[1, 2])).rows
    assert lost.code == "not_loaded"
    assert isinstance(kept, port.SequenceOutput)
    under_test.ask(port.FreeSequences(keys=[2]))


@pytest.mark.parametrize("bad", [[], [0, 500], [5] * 65], ids=["empty", "vocabulary", "long"])
def test_a_row_that_cannot_begin_fails_alone(make_engine: MakeBench, bad: list[int]) -> None:
    under_test = make_engine("llama")
    alone = write(under_test, [(ROWS[0], None)])
    results = write(under_test, [(ROWS[0], None), (bad, None)])
    assert results[0] == alone[0]
    assert results[1].code == "bad_row"  # type: ignore[union-attr]


def test_a_row_whose_logits_are_no_numbers_fails_alone(make_engine: MakeBench) -> None:
    from tests.contracts.cases import Case

    under_test = make_engine("llama")
    good = under_test.adapter(Case("llama", "lora", "generate", "native"), seed=1)
    broken = under_test.adapter(Case("llama", "lora", "generate", "native"), seed=2)
    for parts in broken.weights.values():
        for tensor in parts.values():
            tensor.fill_(1e38)
    one, two = under_test.load(good), under_test.load(broken)
    alone = write(under_test, [(ROWS[0], one)])
    results = write(under_test, [(ROWS[0], one), (ROWS[1], two)])
    assert results[0] == alone[0]
    assert results[1].code == "non_finite_result"  # type: ignore[union-attr]


def test_a_version_that_writes_has_no_logits_to_predict_and_others_cannot_write(
    make_engine: MakeBench,
) -> None:
    from tests.contracts.cases import Case

    under_test = make_engine("llama")
    writes = under_test.load(under_test.adapter(Case("llama", "lora", "generate", "native")))
    sorts = under_test.load(under_test.adapter(Case("llama", "lora", "classify", "native")))
    answer = under_test.predict([(ROWS[0], writes), (ROWS[0], sorts)])
    assert isinstance(answer[0], port.Failure)
    assert isinstance(answer[1], np.ndarray)
    refused = write(under_test, [(ROWS[0], sorts)])[0]
    assert isinstance(refused, port.Failure)
    assert "does not generate" in refused.message


def test_an_encoder_is_refused_a_head_that_writes(make_engine: MakeBench) -> None:
    spec = port.OpenTraining(kind="lora", kind_config={}, head=HEAD, seed=1)
    assert "no native generate head" in make_engine("bert").refusal(spec).message


@pytest.mark.parametrize("family", DECODERS)
def test_training_on_completions_equals_pefts_steps(
    make_engine: MakeBench, base_folder: Folder, family: str, tmp_path: Path
) -> None:
    """Losses of three AdamW steps from the same start, prompts left out of the loss."""
    under_test = make_engine(family)
    spec = port.OpenTraining(
        kind="lora", kind_config={"rank": 4, "targets": TARGETS[family]}, head=HEAD, seed=3,
        dropout=0.0, head_dropout=0.0, weight_decay=0.0, max_grad_norm=1e9,
    )  # fmt: skip
    slot = under_test.ask(spec).slot
    under_test.ask(port.Save(slot=slot, directory=str(tmp_path)))
    oracle = PeftModel.from_pretrained(stock(base_folder(family)), tmp_path, is_trainable=True)
    labels = [[*([-100] * 2), *ids[2:]] for ids in ROWS]
    ours = [_our_step(under_test, slot, number) for number in range(3)]
    np.testing.assert_allclose(ours, _their_steps(oracle, labels, 3), rtol=1e-4)


def _our_step(under_test: EngineUnderTest, slot: int, number: int) -> float:
    targets = [[-100, *ids[2:], -100] for ids in ROWS]
    step = port.Train(
        slot=slot, rows=[port.Row.of(ids=ids, slot=slot) for ids in ROWS],
        keys=list(range(len(ROWS))), targets=targets, learning_rate=0.01, step=number,
    )  # fmt: skip
    return float(under_test.ask(step).loss)


def _their_steps(oracle: Any, labels: list[list[int]], count: int) -> list[float]:
    weights = [p for p in oracle.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.01, weight_decay=0.0)
    width = max(map(len, ROWS))
    ids = torch.tensor([row + [1] * (width - len(row)) for row in ROWS])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ROWS])
    wanted = torch.tensor([row + [-100] * (width - len(row)) for row in labels])
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = oracle.eval()(input_ids=ids, attention_mask=mask, labels=wanted).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
