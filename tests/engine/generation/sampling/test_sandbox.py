"""Grammars are tried in a process of their own; nothing a stranger sends holds it for long."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from engine.errors import BadRow
from engine.grammar import grammar_of
from engine.grammar.sandbox import GrammarSandbox
from tests.engine.generation.sampling.vocabularies import END, byte_level

SOUND = grammar_of({"regex": "[a-z]+"})


@pytest.fixture
def trial() -> Callable[..., GrammarSandbox]:
    return lambda **limits: GrammarSandbox(byte_level(), [END], **limits)


def test_a_sound_grammar_passes_and_a_wrong_one_is_named(
    trial: Callable[..., GrammarSandbox],
) -> None:
    trials = trial(wall_s=60)
    trials.check(SOUND)
    with pytest.raises(BadRow, match="does not compile"):
        trials.check(grammar_of({"regex": "[a-z"}))
    trials.check(SOUND)


def test_a_grammar_that_takes_too_long_is_refused_and_the_next_one_is_not(
    trial: Callable[..., GrammarSandbox],
) -> None:
    trials = trial(wall_s=2, cpu_s=2)
    hostile = grammar_of({"json_schema": {"type": "string"}}).replace(
        '"type":"string"', _MANY_REMAINDERS
    )
    assert _MANY_REMAINDERS in hostile
    started = time.monotonic()
    with pytest.raises(BadRow, match="too much memory or over 2 s"):
        trials.check(hostile)
    assert time.monotonic() - started < 70
    trials.check(SOUND)


def test_one_that_takes_more_of_a_processor_than_it_may_is_refused(
    trial: Callable[..., GrammarSandbox],
) -> None:
    with pytest.raises(BadRow, match="and may take 0 s at most"):
        trial(wall_s=60, cpu_s=0).check(SOUND)


def test_its_process_ends_with_it(trial: Callable[..., GrammarSandbox]) -> None:
    trials = trial(wall_s=60)
    trials.check(SOUND)
    child = trials._places.queue[-1]
    assert child is not None
    del trials
    assert child.wait(10) != 0


#: what `grammar_of` itself would refuse
_MANY_REMAINDERS = '"type":"number","multipleOf":7919999'


@pytest.mark.survival("H2")
def test_a_grammar_that_takes_long_keeps_no_other_waiting(
    trial: Callable[..., GrammarSandbox],
) -> None:
    trials = trial(wall_s=60)
    trials.check(SOUND)
    held = trials._places.get()  # as by a grammar that is being tried
    trials.check(grammar_of({"regex": "[0-9]+"}))
    trials._places.put(held)
