"""Every row writes what stock `generate` writes for it alone, however its reading is cut, shared,
given up and begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import port
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.generator import Reference, StepGenerator
from tests.contracts.test_generate import DECODERS, HEAD, adapters, stock

__all__ = ["adapters"]

MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]
LENGTH = 12
#: two whole blocks and a little more
LONG = [3 + (7 * i * i + i) % 110 for i in range(37)]


def bytes_of(under_test: EngineUnderTest, num_blocks: int) -> int:
    runner: Any = under_test.engine._generation._runner
    return int(runner._pool.block_bytes) * num_blocks


def used(under_test: EngineUnderTest) -> int:
    return int(under_test.ask(port.Stats()).used_blocks)


@pytest.fixture
def setting(
    make_engine: MakeBench, base_folder: Folder, adapters: Callable[..., Any]
) -> Callable[..., tuple[EngineUnderTest, StepGenerator, Reference, list[str | None]]]:
    """An engine with two adapters in slots, who writes on it, and the same models in stock."""

    def make(family: str, num_blocks: int | None = None) -> Any:
        under_test = make_engine(family)
        if num_blocks is not None:
            under_test = make_engine(family, kv_cache_bytes=bytes_of(under_test, num_blocks))
        models: dict[str | None, Any] = {None: stock(base_folder(family))}
        models |= {
            under_test.load(directory, HEAD): model for directory, model in adapters(family, 2)
        }
        slots = {digest: slot for slot, digest in enumerate((d for d in models if d), 1)}
        return under_test, StepGenerator(under_test, slots), Reference(models, LENGTH), list(models)

    return make


def check(
    author: StepGenerator, reference: Reference, asked: Sequence[tuple[int, list[int], str | None]]
) -> None:
    assert not author.failures
    for key, ids, digest in asked:
        assert reference.agrees(digest, ids, LENGTH, author.texts[key]), (key, ids, digest)


@pytest.mark.parametrize("family", DECODERS)
def test_a_prompt_read_in_stretches_is_the_same_prompt(setting: Any, family: str) -> None:
    under_test, author, reference, digests = setting(family)
    rows = [(ids, digest) for ids in (*ROWS, LONG) for digest in digests]
    asked = [(author.begin(ids, digest, LENGTH), ids, digest) for ids, digest in rows]
    author.finish(max_tokens=7)
    check(author, reference, asked)
    assert used(under_test) == 0


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_rows_whose_lengths_are_far_apart_write_the_same(
    setting: Any, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kv_cache.gathered_attention._SHORT_TOKENS", 4)
    _table, author, reference, digests = setting(family)
    rows = [(ids, digest) for ids in (*ROWS, LONG) for digest in digests]
    asked = [(author.begin(ids, digest, LENGTH), ids, digest) for ids, digest in rows]
    author.finish()
    check(author, reference, asked)


@pytest.mark.parametrize("family", DECODERS)
def test_rows_that_give_up_their_blocks_write_the_same(setting: Any, family: str) -> None:
    """Nine rows of one block grow to two or three of five; who is first changes at every step."""
    under_test, author, reference, digests = setting(family, num_blocks=5)
    prompts = (LONG[:15], LONG[1:16], LONG[2:30])
    rows = [(ids, digest) for ids in prompts for digest in digests]
    asked = [(author.begin(ids, digest, LENGTH), ids, digest) for ids, digest in rows]
    read = 0
    while author.going or not author.texts:
        read += author.step(author.going[:: (-1) ** (read % 2)], max_tokens=64).num_tokens
        assert used(under_test) <= 5
    check(author, reference, asked)
    least = sum(len(ids) + len(author.texts[key].ids) - 1 for key, ids, _ in asked)
    assert read > least, "nobody gave anything up"
    assert used(under_test) == 0


@pytest.mark.parametrize("family", DECODERS)
def test_a_beginning_read_before_is_not_read_again(setting: Any, family: str) -> None:
    _, author, reference, digests = setting(family)
    for digest in digests:
        first = author.begin(LONG, digest, LENGTH, salt="a")
        author.finish()
        other = [*LONG[:34], 5]
        second = author.begin(other, digest, LENGTH, salt="a")
        author.step()
        third = author.begin(LONG, digest, LENGTH, salt="a")
        author.finish()
        assert [author.texts[key].num_cached for key in (first, second, third)] == [0, 32, 32]
        check(author, reference, [(first, LONG, digest), (second, other, digest)])
        check(author, reference, [(third, LONG, digest)])


def test_what_a_row_wrote_is_a_beginning_too(setting: Any) -> None:
    _, author, reference, _ = setting("llama")
    first = author.begin(LONG, None, LENGTH, salt="w")
    author.finish()
    whole = LONG + author.texts[first].ids
    second = author.begin(whole, None, 1, salt="w")
    author.finish()
    assert author.texts[second].num_cached == (len(whole) - 1) // 16 * 16
    assert reference.text(None, whole, 1).ids == author.texts[second].ids


@pytest.mark.survival("D1")
def test_nothing_is_shared_between_salts_versions_or_rows_without_a_salt(setting: Any) -> None:
    _, author, reference, digests = setting("llama")
    others = [("p", digests[1]), ("q", digests[1]), ("p", digests[2]), ("p", None), ("", None)]
    for salt, digest in others:
        key = author.begin(LONG, digest, LENGTH, salt=salt)
        author.finish()
        assert author.texts[key].num_cached == 0
        check(author, reference, [(key, LONG, digest)])
    again = author.begin(LONG, None, LENGTH)
    author.finish()
    assert author.texts[again].num_cached == 0


def test_a_slot_in_training_shares_nothing(make_engine: MakeBench) -> None:
    under_test = make_engine("llama")
    slot = under_test.ask(
        port.OpenTraining(kind="lora", kind_config={"rank": 2}, head=HEAD, seed=3)
    ).slot
    for key in (1, 2):
        begin = port.StartSequence(
            key=key, row=port.Row.of(ids=LONG, slot=slot), max_tokens=3, salt="a"
        )
        [written] = under_test.ask(port.Generate(begin=[begin], num_tokens=3)).rows
        assert written.num_cached == 0


def test_a_row_whose_slot_trains_on_fails_once_others_begin_in_it(make_engine: MakeBench) -> None:
    under_test = make_engine("llama")
    spec = port.OpenTraining(kind="lora", kind_config={"rank": 2}, head=HEAD, seed=3)
    slot = under_test.ask(spec).slot
    row = port.Row.of(ids=ROWS[0], slot=slot)
    under_test.ask(port.Generate(begin=[port.StartSequence(key=1, row=row, max_tokens=20)]))
    targets = [[-100, *ROWS[0][2:], -100]]
    under_test.ask(
        port.Train(slot=slot, rows=[row], keys=[0], targets=targets, learning_rate=0.1, step=0)
    )
    begin = port.StartSequence(key=2, row=row, max_tokens=1)
    [old, new] = under_test.ask(port.Generate(keys=[1], begin=[begin])).rows
    assert old.code == "not_loaded"
    assert isinstance(new, port.SequenceOutput)


@pytest.mark.survival("C6")
def test_a_row_that_can_never_fit_is_refused_with_both_numbers(setting: Any) -> None:
    under_test, author, reference, _ = setting("llama", num_blocks=2)
    fits = author.begin(LONG[:21], None, LENGTH)
    never = author.begin(LONG[:22], None, LENGTH)
    author.finish()
    assert "need 3 blocks" in author.failures[never].message
    assert "there are 2" in author.failures[never].message
    assert reference.agrees(None, LONG[:21], LENGTH, author.texts[fits])
    assert used(under_test) == 0


def test_rows_of_a_caller_that_began_first_keep_their_blocks(setting: Any) -> None:
    """Two callers of one pool: neither takes from the other in turns, and both come to an end."""
    under_test, first, reference, _ = setting("llama", num_blocks=4)
    second = StepGenerator(under_test, {}, first_key=900)
    key = first.begin(LONG, None, LENGTH)
    first.step()
    other = second.begin(LONG[2:], None, LENGTH)
    second.step()
    while first.going or second.going:
        assert first.step().num_tokens + second.step().num_tokens
    check(first, reference, [(key, LONG, None)])
    check(second, reference, [(other, LONG[2:], None)])


def test_a_waiting_row_says_nothing_and_ends_like_the_others(setting: Any) -> None:
    _, author, _, _ = setting("llama")
    begun = [author.begin(ROWS[2], None, LENGTH) for _ in range(3)]
    decoded = author.step(max_tokens=len(ROWS[2]))
    assert [len(result.ids) for result in decoded.rows] == [1, 0, 0]
    author.finish()
    assert author.texts[begun[0]] == author.texts[begun[2]]


@pytest.mark.survival("C9")
def test_a_forward_that_fails_leaves_its_neighbours_text_alone(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test, author, reference, digests = setting("llama")
    runner: Any = under_test.engine._generation._runner
    whole, fatal = runner.run, [0]

    def read(turns: Any) -> Any:
        logits = whole(turns)
        if fatal[0] in [turn.row.key for turn in turns]:
            raise RuntimeError("as a kernel would")
        return logits

    asked = [(author.begin(ids, digests[1], LENGTH), ids, digests[1]) for ids in ROWS]
    author.step()
    monkeypatch.setattr(runner, "run", read)
    fatal[0] = asked[1][0]
    author.finish()
    assert list(author.failures) == [fatal[0]]
    author.failures = {}
    check(author, reference, [row for row in asked if row[0] != fatal[0]])
    assert used(under_test) == 0


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_an_exact_engine_writes_the_same_bits_in_any_company(
    setting: Any, make_engine: MakeBench, family: str
) -> None:
    under_test = make_engine(family, exact=True)
    under_test = make_engine(family, exact=True, kv_cache_bytes=bytes_of(under_test, 5))
    sampling = port.Sampling(logprobs=2)
    alone, crowd = StepGenerator(under_test, {}), StepGenerator(under_test, {})
    crowd_keys = [
        crowd.begin(ids, None, LENGTH, sampling=sampling) for ids in (LONG, ROWS[2], LONG[3:])
    ]
    crowd.finish(max_tokens=9)
    for key, ids in zip(crowd_keys, (LONG, ROWS[2], LONG[3:]), strict=True):
        own = alone.begin(ids, None, LENGTH, sampling=sampling)
        alone.finish()
        assert alone.texts[own] == crowd.texts[key]


@pytest.mark.parametrize("variant", ["lora", "dora", "lora-biases", "bottleneck", "ia3"])
def test_adapters_that_come_and_go_take_each_others_seats_and_not_their_weights(
    make_engine: MakeBench, variant: str
) -> None:
    """Twenty versions, some of another rank, in waves of which each leaves some of the last."""
    under_test = make_engine("llama")
    case = Case("llama", variant, "generate", "native")
    ranks: list[dict[str, Any]] = [{}, {"rank": 2} if "rank" in case.kind_settings else {}]
    digests = [
        under_test.load(under_test.adapter(case, seed=n, **ranks[n % 5 == 0])) for n in range(20)
    ]
    slots = {digest: slot for slot, digest in enumerate(digests, 1)}
    alone, crowd = StepGenerator(under_test, slots), StepGenerator(under_test, slots, first_key=500)
    asked = {}
    for wave in range(5):
        for digest in (*digests[4 * wave : 4 * wave + 4], *digests[:: wave + 3]):
            asked[crowd.begin(ROWS[wave], digest, 3 + slots[digest] % 7)] = (digest, wave)
        crowd.step(num_tokens=3)
    crowd.finish()
    for key, (digest, wave) in asked.items():
        own = alone.begin(ROWS[wave], digest, 3 + slots[digest] % 7)
        alone.finish()
        assert alone.texts[own] == crowd.texts[key], (key, digest)
