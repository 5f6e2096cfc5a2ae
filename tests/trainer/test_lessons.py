"""Tasks that write are trained on completions alone, judged by what they write, and published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.port import (
    Done,
    EngineInfo,
    EnginePort,
    EngineStats,
    FreeSequences,
    Generated,
    SequenceOutput,
    Stats,
)
from engine.runtime.in_thread import ThreadEngine
from engine.testing.fake_base import fake_info
from engine.testing.fake_engine import FakeEngine
from engine.text.conversation import Conversation
from engine.text.prompts import PromptCompletion, Prompter
from engine.text.tokenizer import Tokenizer
from tests.contracts.tiny import build_base
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.dataset.prompt_rows import encode_prompt_rows
from trainer.engine_client import EngineSession, call
from trainer.errors import BadSetting
from trainer.evaluation.evaluate import Evaluation, dev_score
from trainer.evaluation.generate import generate_answers
from trainer.heads.encoded import EncodedRow
from trainer.heads.generate import GenerateData
from trainer.jobs.states import Status
from trainer.jobs.values import Job
from trainer.pipeline.prepare import prepare
from trainer.readers.example import Example

QUICK = {"epochs": 15, "patience": 15, "learning_rate": 0.02, "layers": 3}


@pytest.fixture(scope="module", params=["llama", "t5"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EnginePort]:
    folder = tmp_path_factory.mktemp(request.param)
    build_base(request.param, folder)
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


def run(trainer_env: TrainerEnv, rows: list[dict[str, Any]], **given: Any) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(rows), head="generate", **given))
    assert trainer_env.trainer.run_once()
    return trainer_env.trainer.get(TENANT, job.id)


def test_rows_that_two_slots_write_at_once_have_keys_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released: list[list[int]] = []

    def answer(_session: Any, step: Any, _result: Any) -> Any:
        if isinstance(step, FreeSequences):
            released.append(step.keys)
            return Done()
        return Generated(
            num_tokens=1,
            num_adapters=1,
            forward_s=0.0,
            rows=[SequenceOutput(ids=[1], finish="stop") for _ in step.begin],
        )

    monkeypatch.setattr(EngineSession, "call", answer)
    example = Example(line=1, text="a", label="b")
    row = EncodedRow(pieces=(), example=example, truncated=False, prompt_ids=(1, 2))
    for slot in (3, 4):
        generate_answers(EngineSession(FakeEngine()), [row] * 3, {"max_tokens": 1}, slot)
    assert not set(released[0]) & set(released[1])


def test_what_is_learned_is_written_and_published(tmp_path: Path, engine: EnginePort) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    answers = {"w1 w2": "w20", "w4 w5": "w21 w22"}
    rows = [{"text": f"{q} w{30 + i}", "label": a} for i in range(30) for q, a in answers.items()]
    # a random base with scaled outputs tells words apart too little to learn them in this time
    learns = engine.info.family == "llama"
    job = run(trainer_env, rows, settings=QUICK if learns else QUICK | {"epochs": 2})
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    losses = [epoch["loss"] for epoch in job.result["epochs"]]
    assert losses[-1] < losses[0]
    assert job.result["metrics"]["test"]["exact_match"] == float(learns)
    head = trainer_env.registry.resolve(TENANT, "mood").manifest.semantics["head"]
    assert (head["kind"], "parse" in head) == ("generate", False)
    assert call(engine, Stats(), EngineStats).running == []
    trainer_env.close()


def test_few_rows_become_a_prompt_on_a_decoder_and_train_a_seq2seq_base(
    tmp_path: Path, engine: EnginePort
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    rows = [{"text": f"w1 w{i} w{i + 1} w{i + 2}", "label": f"w{20 + i % 3}"} for i in range(30)]
    job = run(trainer_env, rows, settings={"epochs": 1, "batch_rows": 8}, chosen=())
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    version = trainer_env.registry.resolve(TENANT, "mood")
    examples = version.manifest.semantics["head"].get("prompt", {}).get("examples", [])
    decodes = engine.info.family == "llama"
    assert version.lineage["kind"] == ("prompt" if decodes else "lora")
    assert ("few_shot_recipe" in {f["code"] for f in job.result["findings"]}) == decodes
    assert len({each["output"] for each in examples[:3]}) == (3 if decodes else 0)
    assert {"exact_match", "word_f1"} <= set(job.result["metrics"]["test"])
    judged = {row.text for row in prepare(trainer_env.files, job.spec).split.test}
    assert judged.isdisjoint(each["input"] for each in examples)
    assert call(engine, Stats(), EngineStats).running == []
    trainer_env.close()


def test_a_prompt_may_be_chosen_for_any_number_of_rows(tmp_path: Path, engine: EnginePort) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    rows = [{"text": f"w1 w{i % 50} w{i}", "label": f"w{20 + i % 3}"} for i in range(60)]
    if engine.info.family != "llama":
        with pytest.raises(BadSetting, match="the base is of the type seq2seq"):
            run(trainer_env, rows, kind="prompt")
    else:
        assert run(trainer_env, rows, kind="prompt").result["trainable_parameters"] == 0
        for settings in ({"learning_rate": 1e-3}, {"search": {"trials": 2}}):
            with pytest.raises(
                BadSetting, match="kind is prompt, which trains nothing and takes no "
            ):
                run(trainer_env, rows, kind="prompt", settings=settings)
    trainer_env.close()


def test_a_learning_rate_says_that_few_rows_are_to_be_trained_on(
    tmp_path: Path, engine: EnginePort
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    rows = [{"text": f"w1 w{i}", "label": f"w{20 + i % 3}"} for i in range(30)]
    found = trainer_env.trainer.check(
        trainer_env.spec(
            jsonl(rows), head="generate", settings={"learning_rate": 1e-3},
            chosen=("learning_rate",),
        )
    )  # fmt: skip
    decodes = engine.info.family == "llama"
    assert found.kind == "lora"
    assert ("few_shot_declined" in {f["code"] for f in found.findings}) == decodes
    trainer_env.close()


def test_a_prompt_is_for_heads_that_write(trainer_env: TrainerEnv) -> None:
    with pytest.raises(BadSetting, match="needs the head generate and a decoder; the head is"):
        trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), kind="prompt"))


@pytest.fixture
def info() -> EngineInfo:
    return fake_info()


def test_what_cannot_be_read_or_is_far_off_explains_nothing() -> None:
    measure = GenerateData().measure
    assert measure(["1", "2"], ["many", "few"])["explained"] == -1.0
    assert measure(["1", "2"], ["1e100", "2"])["explained"] == -1.0
    assert "explained" not in measure(["2", "2"], ["2", "3"])


def test_an_epoch_that_writes_one_number_everywhere_beats_one_that_writes_none() -> None:
    none, one = (
        dev_score(
            {"kind": "generate"},
            Evaluation(
                metrics=GenerateData().measure(["1", "2", "2", "2", "3", "1"], [said] * 6),
                loss=None,
                answers=[],
                predictions=[],
            ),
        )
        for said in ("many", "2")
    )
    assert one > none


def test_numbers_that_are_written_are_scored_as_numbers() -> None:
    found = GenerateData().measure(["1", "2", "3"], ["1", "2.5", "many"])
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["numbers_read"] == pytest.approx(2 / 3)
    assert found["mae"] == pytest.approx(0.25)
    assert found["explained"] == pytest.approx(1 - 0.25 / 2 - 2 / 3)
    assert "mae" not in GenerateData().measure(["one", "2"], ["1", "2"])


def test_only_the_answer_of_a_conversation_is_learned(info: EngineInfo) -> None:
    tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
    prompter = Prompter(info, tokenizer)
    turns = Conversation(messages=({"role": "user", "content": "hi"},))
    lesson = prompter.encode_example(turns, "ho", {"format": "auto"})
    assert tokenizer.text(lesson.prompt) == "user: hi\nassistant: "
    learned = [token for token in lesson.target if token != -100]
    # the line break behind it separates messages, and ends none
    assert tokenizer.text(learned) == "ho"
    assert learned[-1] in info.end_ids
    assert len(lesson.target) == len(lesson.ids)
    assert lesson.ids[lesson.target.index(learned[0]) + 1] == learned[0]


def test_a_lesson_that_is_too_long_keeps_the_end_of_its_prompt(info: EngineInfo) -> None:
    prompter = Prompter(info, Tokenizer(info.tokenizer_json, info.max_tokens))
    lesson = prompter.encode_example("x" * 50, "answer", {"format": "plain"})
    cut = lesson.within(20)
    assert len(cut.ids) == len(cut.target) == 20
    assert cut.completion == lesson.completion
    assert cut.prompt == lesson.prompt[-len(cut.prompt) :]
    assert lesson.within(200) is lesson


def test_an_answer_beside_its_prompt_is_cut_to_one_row() -> None:
    lesson = PromptCompletion(prompt=[5, 6, 7], completion=list(range(30)), is_seq2seq=True)
    cut = lesson.within(20)
    assert cut is not lesson
    assert (cut.ids, cut.target) == ([5, 6, 7], list(range(20)))
    assert lesson.within(30) is lesson


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no completion": ({"text": "a", "label": " "}, "empty"),
    "no number": ({"text": "a", "label": float("nan")}, "label is nan; a finite number is needed"),
    "a list": ({"text": "a", "label": ["b"]}, "text to generate"),
    "a blank turn": (
        {"messages": [{"role": r, "content": " "} for r in ("user", "assistant")]},
        "a message is empty",
    ),
    "a field that would be lost": (
        {"messages": [{"role": r, "content": r, "mood": "x"} for r in ("user", "assistant")]},
        r"messages\[0\] holds 'mood'; a message by user may hold content, name, role",
    ),
    "one turn": ({"messages": [{"role": "user", "content": "a"}]}, "two messages"),
    "a long completion": ({"text": "a", "label": "b" * 100_001}, "100001 characters"),
    "a NUL": ({"text": "a", "label": "b\0"}, "NUL"),
    "half a character": ({"text": "a", "label": "\ud800"}, "unpaired surrogate"),
    "a long message": (
        {"messages": [{"role": r, "content": r * 20_000} for r in ("user", "assistant")]},
        "180000 characters",
    ),
    "half a character asked": (
        {"messages": [{"role": r, "content": "\ud800"} for r in ("user", "assistant")]},
        "a message contains an unpaired surrogate",
    ),
    "a weight of a role that is no text": (
        {"messages": [
            {"role": "\ud800" * 99, "content": "a", "weight": 1},
            {"role": "assistant", "content": "b"},
        ]},
        r"this message has the role '(\\ud800)+…\.$",
    ),
    "no answer": (
        {"messages": [{"role": r, "content": "a"} for r in ("assistant", "user")]}, "by user",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_row_that_teaches_nothing_is_refused_by_line(tmp_path: Path, name: str) -> None:
    from trainer.errors import BadLine

    row, words = BAD[name]
    trainer_env = TrainerEnv(directory=tmp_path)
    good = dict.fromkeys(row, "x") if "text" in row else row
    with pytest.raises(BadLine, match=words):
        trainer_env.trainer.submit(trainer_env.spec(jsonl([row, good]), head="generate"))
    trainer_env.close()


def test_writing_what_is_judged_ends_between_two_steps_when_told_and_leaves_no_row(
    engine: EnginePort,
) -> None:
    info = engine.info
    prompter = Prompter(info, Tokenizer(info.tokenizer_json, info.max_tokens))
    head = {"kind": "generate", "format": "plain", "max_tokens": 40, "pooling": "native"}
    examples = [Example(text="a b c", label="d", line=1)]
    rows = encode_prompt_rows(examples, head, prompter, info.max_tokens)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        generate_answers(EngineSession(engine, stop), rows, head, 0)
    assert call(engine, Stats(), EngineStats).running == []


def test_an_answer_longer_than_the_base_reads_is_cut_and_counted(tmp_path: Path) -> None:
    folder = build_base("bart", tmp_path / "bart")
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    long = "w1 " * (engine.info.max_tokens + 10)
    rows = [{"text": f"w{i}", "label": long if i % 2 else f"w{i}"} for i in range(20)]
    job = run(trainer_env, rows, settings=QUICK | {"epochs": 1, "batch_rows": 2})
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    assert any(warning.startswith("10 of 20 rows exceeded") for warning in job.result["warnings"])
    trainer_env.close()
    engine.close()
