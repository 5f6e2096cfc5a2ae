"""What a base and a file decide together is said before a job queues, with the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.port import EngineInfo
from engine.testing.fake_base import fake_info
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import jsonl
from trainer.errors import BadLine
from trainer.jobs.values import JobSpec, TrainingSettings
from trainer.pipeline.prepare import Examination, Source, examine
from trainer.readers.example import Example

ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}[SEP]"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
SHARED = Path(__file__).parents[3] / "shared" / "cases"


def look(
    rows: list[dict[str, Any]] | bytes, head: str, info: EngineInfo, **settings: Any
) -> Examination:
    content = rows if isinstance(rows, bytes) else jsonl(rows)
    spec = JobSpec(
        tenant="t", task="t", file_id="f", head=head, settings=TrainingSettings.parse(settings)
    )
    tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
    source = Source(filename="rows.jsonl", read=lambda: content)
    return examine({"train": source}, spec, tokenizer, info=info)


def with_template(source: str) -> EngineInfo:
    return msgspec.structs.replace(fake_info(), chat_templates={"default": source})


def turns(*said: tuple[str, str], **beside: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in said], **beside}


def chats(num: int = 60) -> list[dict[str, Any]]:
    return [turns(("user", f"cart {i}"), ("assistant", f"blue {i % 3}")) for i in range(num)]


def test_a_token_without_an_embedding_is_said_with_its_line() -> None:
    info = fake_info()
    # the last letter of the alphabet has no embedding
    short = msgspec.structs.replace(info, num_embeddings=257)
    beyond = Tokenizer(info.tokenizer_json, 128).piece(257)
    assert beyond == "Ń"  # the byte 0xAD, which é and most letters lack
    rows = [{"text": f"day {i}", "label": "ab"[i % 2]} for i in range(60)]
    rows[6]["text"] = "a\u00adb"
    rows[9]["text"] = "\u00ad"
    found = look(rows, "classify", short)
    assert isinstance(found.error, BadLine)
    assert found.error.line == 7
    assert "Line 7: its tokenizer makes the token 'Ń' of this row" in str(found.error)
    (said,) = [each for each in found.findings if each.code == "bad_line"]
    assert (said.count, [each.line for each in said.samples]) == (2, [7, 10])
    assert look(rows, "classify", info).error is None


def test_a_conversation_that_the_template_refuses_is_said_with_its_line() -> None:
    rows = chats()
    rows[4] = turns(("system", "be brief"), ("user", "cart"), ("assistant", "blue"))
    found = look(rows, "generate", with_template(ALTERNATES))
    assert "Line 5: the base's chat template does not take" in str(found.error)
    assert "roles must alternate" in str(found.error)


def test_tools_that_no_template_reads_are_said_with_their_line() -> None:
    rows = chats()
    tools = [{"type": "function", "function": {"name": "f"}}]
    rows[1] = turns(("user", "cart"), ("assistant", "blue"), tools=tools)
    found = look(rows, "generate", with_template(ALTERNATES))
    assert str(found.error) == "Line 2: the base's chat template reads no tools."


def test_an_answer_that_is_only_the_end_token_cannot_be_written() -> None:
    rows = [{"text": f"cart {i}", "label": f"blue {i % 3}"} for i in range(60)]
    rows[2]["label"] = "[SEP]"
    found = look(rows, "generate", fake_info())
    assert "Line 3: the tokenizer of the base makes no token of the answer" in str(found.error)


def test_an_answer_that_the_end_token_cuts_is_a_finding() -> None:
    rows = chats()
    rows[7] = turns(("user", "cart"), ("assistant", "blue[SEP]green"))
    found = look(rows, "generate", fake_info())
    assert found.error is None
    (said,) = [each for each in found.findings if each.code == "rewritten_answers"]
    assert "line 8 becomes 'blue'" in said.message


def test_what_a_prompt_and_an_end_add_counts_among_a_rows_tokens() -> None:
    padding = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}" + "x" * 100
    rows = [turns(("user", f"a cart {i:020}"), ("assistant", f"blue {i}")) for i in range(60)]
    assert {"truncated"} <= {
        each.code for each in look(rows, "generate", with_template(padding)).findings
    }
    plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    codes = {each.code for each in look(rows, "generate", with_template(plain)).findings}
    assert "truncated" not in codes


WEIGHTS: dict[str, tuple[list[int | float | str | None], str]] = {
    "nothing is learned": ([None, 0, None, 0], "no message has a weight of 1"),
    "of a user": (
        [1, None, None, None],
        r"messages\[0\].weight is only allowed for messages of the assistant",
    ),
    "a half": ([None, 0.5, None, None], r"messages\[1\].weight is 0.5; it must be 0 or 1"),
}


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_a_weight_that_cannot_be_honoured_is_refused_by_its_name(name: str) -> None:
    weights, words = WEIGHTS[name]
    with pytest.raises(BadLine, match=f"Line 1: {words}"):
        weighted(weights)


@pytest.mark.parametrize(
    ("weights", "learned"),
    [
        ([None, 0, None, 1], ["two"]),
        ([None, None, None, None], ["two"]),
        ([None, 1, None, None], ["one", "two"]),
        ([None, 1, None, 0], ["one"]),
    ],
)
def test_messages_of_weight_one_are_learned_and_those_of_weight_zero_are_not(
    weights: list[int | None], learned: list[str]
) -> None:
    row = weighted([*weights])
    assert [turn.answer["content"] for turn in row.turns] == learned
    assert row.label == learned[-1]
    assert all("weight" not in m for turn in row.turns for m in turn.prompt.messages)


def weighted(weights: list[Any]) -> Example:
    from trainer.heads.generate import GenerateData
    from trainer.readers.reader import Record

    said = [("user", "a"), ("assistant", "one"), ("user", "b"), ("assistant", "two")]
    messages = [
        {"role": role, "content": text} | ({} if weight is None else {"weight": weight})
        for (role, text), weight in zip(said, weights, strict=True)
    ]
    spec = JobSpec(tenant="t", task="t", file_id="f", head="generate")
    return GenerateData().example(Record(line=1, fields={"messages": messages}), spec)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared cases are not there")
@pytest.mark.parametrize("name", ["weight", "name", "developer", "parts"])
def test_openais_fine_tuning_fields_are_read(name: str) -> None:
    content = (SHARED / "r06-openai-ft-fields" / f"{name}.jsonl").read_bytes()
    assert look(content, "generate", fake_info()).error is None


def questions(num: int = 40) -> list[dict[str, Any]]:
    start = {"text": "Korso", "start": 0}
    return [{"question": f"q{i}", "context": f"Korso {i}", "answers": [start]} for i in range(num)]


CUT: dict[str, dict[str, Any]] = {
    "too long a question": {
        "question": "why " * 200, "context": "n " * 200 + "Korso",
        "answers": [{"text": "Korso", "start": 400}],
    },
    "too long an answer": {
        "question": "q", "context": "n " * 80, "answers": [{"text": "n " * 79 + "n", "start": 0}],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CUT))
def test_an_answer_that_no_window_holds_is_said_with_its_line(name: str) -> None:
    """It would be trained as a row without an answer."""
    rows = [*questions(), CUT[name]]
    found = look(rows, "span", fake_info())
    assert "Line 41: no window of tokens contains the whole answer" in str(found.error)
    assert look(questions(), "span", fake_info()).error is None


def test_a_row_without_an_answer_is_no_cut_one() -> None:
    rows = [*questions(), {"question": "why " * 200, "context": "n " * 80, "answers": []}]
    assert look(rows, "span", fake_info()).error is None
