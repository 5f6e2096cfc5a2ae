"""What a base says it can have is what it accepts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.adapters.capabilities import possible_kinds, possible_poolings
from engine.adapters.head_layers import checked_head
from engine.errors import BadAdapter
from engine.families import FAMILIES
from tests.contracts.bench import Bench
from tests.contracts.tiny import BASES

MakeBench = Callable[..., Bench]


@pytest.mark.parametrize("family", sorted(BASES))
def test_a_base_names_the_heads_its_architecture_answers_with(
    bench: MakeBench, family: str
) -> None:
    heads = set(possible_poolings(bench(family).base))
    architecture = FAMILIES[family].architecture
    assert ("generate" in heads) == (architecture != "encoder")
    assert ("classify" in heads) == (architecture != "seq2seq")


def test_an_encoder_takes_every_kind_and_t5_none_that_sits_at_sublayers(bench: MakeBench) -> None:
    assert "bottleneck" in possible_kinds(bench("bert").base)
    assert "bottleneck" not in possible_kinds(bench("t5").base)
    assert "lora" in possible_kinds(bench("t5").base)


def test_a_decoder_pools_by_no_first_token(bench: MakeBench) -> None:
    assert "cls" not in possible_poolings(bench("gpt2").base)["classify"]


def test_a_conversation_needs_a_base_with_a_template(bench: MakeBench) -> None:
    with pytest.raises(BadAdapter, match="no chat template"):
        checked_head({"kind": "generate", "format": "chat"}, bench("gpt2").base)
