"""What could be an adapter of a base, by names and shapes alone."""

from __future__ import annotations

import pytest

from engine.adapter_formats.footprint import MAX_RANK, Shape, check_footprint
from engine.errors import BadAdapter, NoMatchingSite
from engine.testing.fake_base import fake_info

SITE = "base_model.model.bert.encoder.layer.0.attention.self.query"
INFO = fake_info()


def test_a_lora_of_the_highest_rank_and_a_head_pass_with_their_bytes() -> None:
    shapes = [
        Shape(f"{SITE}.lora_A.weight", (MAX_RANK, 4)),
        Shape(f"{SITE}.lora_B.weight", (4, MAX_RANK)),
        Shape("base_model.model.classifier.weight", (3, INFO.hidden_size)),
    ]
    assert check_footprint(shapes, INFO) == 4 * (8 * MAX_RANK + 3 * INFO.hidden_size)


def test_an_adapter_of_layers_that_the_base_lacks_is_refused_by_its_name() -> None:
    strange = Shape("base_model.model.zzz.0.lora_A.weight", (1, 10))
    with pytest.raises(NoMatchingSite, match=r"zzz.*encoder\.layer\.0"):
        check_footprint([strange], INFO)


@pytest.mark.parametrize("name", [f"{SITE}.lora_A.weight", "base_model.model.classifier.weight"])
@pytest.mark.survival("A8")
def test_more_than_any_adapter_of_the_base_could_be_is_refused(name: str) -> None:
    with pytest.raises(BadAdapter, match=r"take \d+\.\d MiB; the largest"):
        check_footprint([Shape(name, (1, 100_000_000))], INFO)
