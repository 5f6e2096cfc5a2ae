"""Heads over families: native ones are the stock model's, pooled ones the stock hidden states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING
from transformers.pytorch_utils import Conv1D

from engine import port
from engine.families import FAMILIES
from engine.training.training import micro_batches
from tests.contracts.cases import LABELS, Case, all_cases
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]
BaseFolder = Callable[[str], Path]
POOLED = {"cls": lambda x: x[0], "last": lambda x: x[-1], "mean": lambda x: x.mean(0)}


def stock(folder: Path, head: str) -> Any:
    """The stock task model, if the family has one; its base weights are the folder's."""
    if head == "rerank":
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, attn_implementation="eager"
        )
    else:
        if type(AutoConfig.from_pretrained(folder)) not in MODEL_FOR_QUESTION_ANSWERING_MAPPING:
            pytest.skip("transformers has no such stock model of this family")
        model = AutoModelForQuestionAnswering.from_pretrained(folder, attn_implementation="eager")
        # some stock models name the bare one in another way than the checkpoint of a base does
        bare = AutoModel.from_pretrained(folder)
        getattr(model, model.base_model_prefix).load_state_dict(bare.state_dict(), strict=False)
    assert model.config._attn_implementation == "eager"
    return model.eval()


def stock_answer(model: Any, ids: list[int], head: str) -> Any:
    with torch.inference_mode():
        out = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)))
    if head == "rerank":
        return out.logits[0].numpy()
    return torch.stack([out.start_logits[0], out.end_logits[0]], -1).numpy()


def saved_by_peft(folder: Path, head: str, modules: list[str], targets: list[str], to: Path) -> Any:
    torch.manual_seed(5)
    task = "SEQ_CLS" if head == "rerank" else "QUESTION_ANS"
    model = stock(folder, head)
    config = LoraConfig(
        task_type=task, r=4, target_modules=targets, modules_to_save=modules,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )  # fmt: skip
    model = get_peft_model(model, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(to)
    return model


@pytest.mark.parametrize("head", ["span", "rerank"])
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_stock_head_saved_by_peft_answers_as_peft_does(
    make_engine: MakeBench, base_folder: BaseFolder, tmp_path: Path, family: str, head: str
) -> None:
    under_test = make_engine(family)
    layers = under_test.adapter(Case(family, "lora", head, "native"))
    modules = sorted({name.partition(".")[0] for name in layers.head_weights})
    targets = list(under_test.base.sites)[:2]
    oracle = saved_by_peft(base_folder(family), head, modules, targets, tmp_path)
    digest = under_test.load(tmp_path, {"kind": head})
    for ids, answer in zip(ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True):
        np.testing.assert_allclose(answer, stock_answer(oracle, ids, head), atol=1e-4)


@pytest.mark.parametrize("head", ["span", "rerank"])
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_version_we_write_loads_with_stock_peft_and_answers_the_same(
    make_engine: MakeBench, base_folder: BaseFolder, family: str, head: str
) -> None:
    under_test = make_engine(family)
    directory = under_test.write(under_test.adapter(Case(family, "lora", head, "native")))
    oracle = PeftModel.from_pretrained(stock(base_folder(family), head), directory).eval()
    digest = under_test.load(directory, {"kind": head})
    for ids, answer in zip(ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True):
        np.testing.assert_allclose(answer, stock_answer(oracle, ids, head), atol=1e-4)


@pytest.mark.parametrize(
    ("family", "pooling"),
    [
        (case.family, case.pooling)
        for case in all_cases()
        if (case.variant, case.head) == ("lora", "embed") and case.pooling in POOLED
    ],
)
def test_an_embedding_we_write_is_the_pooled_output_of_the_bare_model_under_peft(
    make_engine: MakeBench, base_folder: BaseFolder, family: str, pooling: str
) -> None:
    under_test = make_engine(family)
    directory = under_test.write(under_test.adapter(Case(family, "lora", "embed", pooling)))
    bare = AutoModel.from_pretrained(base_folder(family), attn_implementation="eager")
    oracle = PeftModel.from_pretrained(bare, directory).eval()
    digest = under_test.load(directory, {"kind": "embed", "pooling": pooling})
    for ids, answer in zip(ROWS, under_test.answers([(ids, digest) for ids in ROWS]), strict=True):
        with torch.inference_mode():
            hidden = oracle(input_ids=torch.tensor([ids])).last_hidden_state[0]
        np.testing.assert_allclose(answer, POOLED[pooling](hidden).numpy(), atol=1e-5)


def test_peft_s_task_type_says_that_an_adapter_embeds(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    directory = under_test.write(under_test.adapter(Case("bert", "lora", "embed", "mean")))
    found = under_test.ask(port.Inspect(directory=str(directory)))
    assert found.semantics["head"]["kind"] == "embed"


@pytest.mark.parametrize("pooling", ["native", "mean"])
def test_a_multi_label_head_is_trained_by_binary_losses(
    make_engine: MakeBench, pooling: str
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", pooling)
    head = {**case.head_settings, "multi_label": True}
    slot = under_test.open(case, head=head, loss=port.LossOptions(class_weights=[1.0, 2.0, 3.0]))
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    targets = [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0]]
    losses = [
        under_test.ask(port.Train(
            slot=slot, rows=rows, keys=list(range(5)), targets=targets, learning_rate=0.01,
            step=number,
        )).loss
        for number in range(30)
    ]  # fmt: skip
    assert losses[-1] < losses[0] * 0.7


def test_a_text_looks_for_its_partner_among_all_of_a_step_that_is_taken_in_parts(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "embed", "mean")
    slots = [under_test.open(case, dropout=0.3) for _ in range(2)]
    whole = under_test.train(case, slots[0], steps=4)
    assert whole[0] > 0.1  # of a pair alone there would be nothing to choose
    monkeypatch.setattr("engine.training.training._MAX_TOKENS", 4)
    np.testing.assert_allclose(under_test.train(case, slots[1], steps=4), whole, rtol=1e-4)


def test_a_pair_with_a_score_is_never_taken_in_two_parts() -> None:
    step = port.Train(
        slot=0, rows=[port.Row.of(ids=[1] * 9, slot=0)] * 6, keys=[0] * 6, targets=[0.5] * 6,
        learning_rate=0.1, step=0,
    )  # fmt: skip
    small = [part for part in micro_batches(step, 2, is_seq2seq=False) if len(part) % 2]
    assert small == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "window": (
        {"kind": "tag", "labels": LABELS["tag"], "window": 65}, "window is 65; .* at most 64",
    ),
    "stride": (
        {"kind": "tag", "labels": LABELS["tag"], "stride": 29},
        "windows of 64 tokens cannot share a stride of 29; at most 28 fit",
    ),
    "dimensions": ({"kind": "embed", "dimensions": 33}, "dimensions is 33; .* at most 32"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_base_cannot_do_is_refused_when_registering_and_when_training(
    make_engine: MakeBench, name: str
) -> None:
    head, reason = REFUSED[name]
    under_test = make_engine("bert")
    case = next(
        case
        for case in all_cases()
        if (case.family, case.kind, case.head) == ("bert", "lora", head["kind"])
    )
    directory = under_test.write(under_test.adapter(case))
    refused = under_test.refusal(port.Inspect(directory=str(directory), head=head))
    assert refused.code == "bad_adapter"
    opening = port.OpenTraining(kind="lora", kind_config={"rank": 2}, head=head, seed=0)
    for failure in (refused, under_test.refusal(opening)):
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(failure.message)


def test_an_embedding_without_an_adapter_has_nothing_to_train(make_engine: MakeBench) -> None:
    opening = port.OpenTraining(kind="head_only", kind_config={}, head={"kind": "embed"}, seed=0)
    refused = make_engine("bert").refusal(opening)
    assert refused.code == "bad_training"
    assert "the kind head_only and the head embed have no weights" in refused.message


def test_a_family_without_a_stock_head_is_refused_by_name(make_engine: MakeBench) -> None:
    import dataclasses

    from engine.adapters.head_layers import HeadLayers
    from engine.errors import BadAdapter

    family = dataclasses.replace(FAMILIES["bert"], native_heads={})
    head = Case("bert", "lora", "tag", "native").head_settings
    with pytest.raises(BadAdapter, match="the bert family has no native tag head; it has span"):
        HeadLayers(head, family, 32)
