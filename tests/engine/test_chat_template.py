"""What is learned of a conversation follows, token by token, what serving asks with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from transformers import AutoConfig, PreTrainedTokenizerFast

from engine.errors import BadBase, BadMessage, BadRow
from engine.model.fingerprint import fingerprint
from engine.model.loading import read_tokenizer
from engine.testing.fake_base import fake_info
from engine.text.chat_template import ChatTemplate
from engine.text.conversation import Conversation, read_conversation
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from tests.contracts.tiny import build_base

#: each is a form that templates of known bases have
PLAIN = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
#: an empty think block in the last answer, and none in the prompt
LAST_THINKS = (
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% if enable_thinking is defined and not "
    "enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
#: what was thought in earlier answers is left out, and an answer's own thoughts are kept
STRIPS = (
    "{% for m in messages %}[{{ m.role }}]{% set parts = m.content.split('</think>') %}"
    "{% if m.role == 'assistant' and loop.last %}"
    "<think>\n{{ (parts[0].split('<think>')[-1].strip() if parts | length > 1 else '') }}\n</think>"
    "\n\n{% endif %}{{ parts[-1].lstrip() }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
#: the prompt opens a think block, and answers have none
OPENS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content.split('</think>')[-1] }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think>\n{% endif %}"
)
#: the prompt says more than what stands before an answer
SAYS_MORE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]Final answer: {% endif %}"
)
#: answers are written like questions, and every conversation ends in a prompt
ALIKE = "{% for m in messages %}[user]{{ m.content }}{% endfor %}[assistant]"
FORMS = {
    "plain": PLAIN, "last thinks": LAST_THINKS, "strips": STRIPS, "opens": OPENS,
    "says more": SAYS_MORE, "alike": ALIKE,
}  # fmt: skip
HEAD = {"kind": "generate", "format": "auto"}
ASKED = Conversation(
    messages=(
        {"role": "user", "content": "a cart"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nblue"},
        {"role": "user", "content": "red cart"},
    )
)
TOOL = {"type": "function", "function": {"name": "paint", "parameters": {"type": "object"}}}


def prompter(**templates: str) -> Prompter:
    info = msgspec.structs.replace(fake_info(), chat_templates=templates)
    return Prompter(info, Tokenizer(info.tokenizer_json, info.max_tokens))


def stock(template: str | dict[str, str]) -> PreTrainedTokenizerFast:
    import tokenizers

    given = tokenizers.Tokenizer.from_str(fake_info().tokenizer_json)
    return PreTrainedTokenizerFast(tokenizer_object=given, chat_template=template)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_lessons_prompt_is_what_serving_asks_and_its_answer_is_the_text_alone(form: str) -> None:
    ours = prompter(default=FORMS[form])
    lesson = ours.encode_example(ASKED, "red", HEAD)
    assert lesson.prompt == ours.tokens(ASKED, HEAD)
    theirs = stock(FORMS[form]).apply_chat_template(
        [*ASKED.messages], add_generation_prompt=True, return_dict=False
    )
    assert lesson.prompt == theirs
    assert ours.text(lesson.completion) == "red"
    assert lesson.completion[-1] == 1


@pytest.mark.parametrize("form", ["last thinks", "strips"])
def test_thoughts_that_an_answer_brings_are_learned(form: str) -> None:
    said = "<think>\nred it is\n</think>\n\nred"
    learned = prompter(default=FORMS[form]).encode_example(ASKED, said, HEAD)
    text = prompter(default=PLAIN).text(learned.completion)
    assert text.endswith(said)


def test_a_variable_of_the_template_is_asked_with_and_learned_after() -> None:
    ours = prompter(default=LAST_THINKS)
    messages = [{"role": "user", "content": "red cart"}]
    asked = read_conversation(messages, None, {"enable_thinking": False})
    lesson = ours.encode_example(asked, "red", HEAD)
    assert ours.text(lesson.prompt).endswith("<think>\n\n</think>\n\n")
    assert ours.text(lesson.completion) == "red"


def test_tools_are_read_by_the_template_named_tool_use() -> None:
    named = {
        "default": PLAIN,
        "tool_use": "{% for t in tools %}{{ t | tojson }}{% endfor %}{{ messages[0].content }}",
    }
    asked = read_conversation([{"role": "user", "content": "go"}], [TOOL])
    ids = prompter(**named).tokens(asked, HEAD)
    theirs = stock(named).apply_chat_template(
        [*asked.messages], tools=[TOOL], add_generation_prompt=True, return_dict=False
    )
    assert ids == theirs
    assert prompter(**named).tokens("go", HEAD) == prompter(default=PLAIN).tokens("go", HEAD)


def test_a_call_that_is_the_answer_is_learned_as_the_template_writes_it() -> None:
    template = (
        "{{ tools | length }}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
        "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}[SEP]"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    call = {"id": "1", "type": "function", "function": {"name": "paint", "arguments": '{"a": 1}'}}
    whole = read_conversation(
        [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        [TOOL],
    )
    asked = read_conversation([*whole.messages[:1]], [TOOL])
    ours = prompter(default=template)
    lesson = ours.encode_example(asked, whole.messages[1], HEAD)
    assert ours.text(lesson.completion) == '<call>{"name": "paint", "arguments": {"a": 1}}</call>'


REFUSED: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "no default": (
        {"rag": PLAIN, "tool_use": PLAIN}, {}, "templates named rag, tool_use, and none named"
    ),
    "no system": (
        {"default": "{{ raise_exception('no system here') if messages[0].role == 'system' }}"},
        {"messages": [{"role": "developer", "content": "be"}, {"role": "user", "content": "a"}]},
        "does not take this conversation: no system here",
    ),
    "an error of its own": ({"default": "{{ 1 // 0 }}"}, {}, "does not take this conversation"),
    "tools": ({"default": PLAIN}, {"tools": [TOOL]}, "reads no tools"),
    "a tool's answer": (
        {"default": "{{ messages[0].content }}"},
        {"messages": [{"role": "tool", "content": "1", "tool_call_id": "a"}]},
        "reads no role tool",
    ),
    "a variable": (
        {"default": LAST_THINKS}, {"template_kwargs": {"enable_thinkin": False}},
        "no variable 'enable_thinkin' to set",
    ),
    "an argument": (
        {"default": PLAIN}, {"template_kwargs": {"add_generation_prompt": False}},
        "no variable 'add_generation_prompt' to set",
    ),
    "half a character": (
        {"default": "{{ tools | length }}{{ tools[0].function.name }}"},
        {"tools": [{"type": "function", "function": {"name": "\ud800"}}]},
        "does not take this conversation",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_a_template_cannot_read_is_refused_with_its_reason(name: str) -> None:
    templates, given, words = REFUSED[name]
    given = {"messages": [{"role": "user", "content": "a"}]} | given
    with pytest.raises(BadRow, match=words):
        prompter(**templates).tokens(read_conversation(**given), HEAD)


def test_a_template_that_leaves_answers_out_teaches_nothing() -> None:
    template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    with pytest.raises(BadRow, match="leaves out what the assistant answers"):
        prompter(default=template).encode_example(ASKED, "red", HEAD)


def test_plain_text_needs_no_template_where_none_is_for_it() -> None:
    ours = prompter(tool_use=PLAIN)
    assert ours.tokens("a b", HEAD) == ours.tokens("a b", HEAD | {"format": "plain"})


def test_a_malformed_template_is_the_bases_fault() -> None:
    with pytest.raises(BadBase, match="template default is malformed at line 2"):
        ChatTemplate({"default": "\n{% if %}"}, {}).check()
    ChatTemplate({"default": "{{ raise_exception('never') }}"}, {}).check()


def test_named_templates_are_found_where_transformers_keeps_them(tmp_path: Path) -> None:
    folder = build_base("llama", tmp_path / "base")
    (folder / "chat_template.jinja").write_text(PLAIN)
    beside = folder / "additional_chat_templates"
    beside.mkdir()
    (beside / "tool_use.jinja").write_text(ALIKE)
    config = AutoConfig.from_pretrained(folder)
    reading = read_tokenizer(folder, config)
    assert reading.chat_templates == {"default": PLAIN, "tool_use": ALIKE}
    both = fingerprint(folder, reading.tokenizer_json, reading.chat_templates)
    assert both != fingerprint(folder, reading.tokenizer_json, {"default": PLAIN})
    (beside / "tool_use.jinja").write_text("{% for %}")
    with pytest.raises(BadBase, match="template tool_use is malformed at line 1"):
        read_tokenizer(folder, config)


def test_tokens_beyond_the_embeddings_are_told_when_a_base_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = build_base("llama", tmp_path / "base")
    config = AutoConfig.from_pretrained(folder)
    read_tokenizer(folder, config)
    assert not caplog.records
    read_tokenizer(folder, AutoConfig.from_pretrained(folder, vocab_size=5))
    assert "the base has 5 embeddings and its tokenizer" in caplog.text


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": "hi"}, "messages", "must be a list"),
    ({"messages": [7]}, "messages[0]", "must be an object"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
     "messages[0].content", "parts of the type text"),
    ({"messages": [{"role": "user"}]}, "messages[0]", "no content"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
     "messages[0].tool_calls[0]", "has a name"),
    ({"messages": [{"role": "assistant", "tool_calls": [
        {"function": {"name": "f", "arguments": "[1]"}}]}]},
     "messages[0].tool_calls[0].function.arguments", "a JSON object"),
    ({"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "retrieval"}]},
     "tools[0]", "of the type function"),
    ({"messages": [{"role": "user", "content": "a"}], "template_kwargs": {"a b": 1}},
     "chat_template_kwargs", "names and values"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "where", "words"), BAD, ids=[where for _, where, _ in BAD])
def test_a_part_that_is_no_message_is_named(given: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        read_conversation(**given)
    assert caught.value.where == where


def test_parts_names_and_newer_roles_are_read() -> None:
    given = [
        {
            "role": "developer",
            "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}],
        },
        {"role": "user", "name": "ana", "content": "hi", "refusal": None},
    ]
    assert read_conversation(given).messages == (
        {"role": "system", "content": "be brief"},
        {"role": "user", "name": "ana", "content": "hi"},
    )
