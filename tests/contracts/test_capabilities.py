"""What a base says it can have is what it accepts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.adapters.capabilities import possible_kinds, possible_poolings
from engine.adapters.head_layers import checked_head
from engine.errors import BadAdapter
from engine.families import FAMILIES
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]


@pytest.mark.parametrize("family", sorted(BASES))
def test_a_base_names_the_heads_its_architecture_answers_with(
    make_engine: MakeBench, family: str
) -> None:
    heads = set(possible_poolings(make_engine(family).base))
    architecture = FAMILIES[family].architecture
    assert ("generate" in heads) == (architecture != "encoder")
    assert ("classify" in heads) == (architecture != "seq2seq")


def test_an_encoder_takes_every_kind_and_t5_none_that_sits_at_sublayers(
    make_engine: MakeBench,
) -> None:
    assert "bottleneck" in possible_kinds(make_engine("bert").base)
    assert "bottleneck" not in possible_kinds(make_engine("t5").base)
    assert "lora" in possible_kinds(make_engine("t5").base)


def test_a_decoder_pools_by_no_first_token(make_engine: MakeBench) -> None:
    assert "cls" not in possible_poolings(make_engine("gpt2").base)["classify"]


def test_a_conversation_needs_a_base_with_a_template(make_engine: MakeBench) -> None:
    with pytest.raises(BadAdapter, match="no chat template"):
        checked_head({"kind": "generate", "format": "chat"}, make_engine("gpt2").base)
