"""Names of rows and datasets, and the order in which a trainer has activations filled."""

from __future__ import annotations

import pytest

from engine.errors import BadTraining
from engine.port import Fill
from engine.testing.fake_base import fake_info
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.engine.rows import open_training
from tests.trainer.build import examples
from trainer.dataset.batches import prediction_batches
from trainer.dataset.encode import encode_examples, head_for
from trainer.engine_client import EngineSession
from trainer.evaluation.activations import assign_keys, dataset_name, fill
from trainer.heads.encoded import EncodedRow

TOKENIZER = Tokenizer(fake_info().tokenizer_json, 128)


def rows(*texts: str) -> list[EncodedRow]:
    given = examples(["a", "b"] * (len(texts) // 2), list(texts))
    return encode_examples(given, head_for("classify", "mean", ["a", "b"], given), TOKENIZER, None)


def keys(part: list[EncodedRow]) -> list[int]:
    return [piece.key for row in part for piece in row.pieces]


def test_every_piece_of_every_part_has_a_key_of_its_own() -> None:
    train, dev = assign_keys(rows("one", "two"), rows("three", "four"))
    assert (keys(train), keys(dev)) == ([0, 1], [2, 3])


def test_a_dataset_is_named_by_its_tenant_and_its_tokens() -> None:
    first, same, other = (assign_keys(rows("one", text)) for text in ("two", "two", "three"))
    assert dataset_name("acme", *first) == dataset_name("acme", *same)
    assert len({dataset_name("acme", *first), dataset_name("else", *first)}) == 2
    assert dataset_name("acme", *first) != dataset_name("acme", *other)


def test_rows_are_filled_in_the_batches_that_predict_them() -> None:
    (part,) = assign_keys(rows(*(f"{'word ' * (i % 9)}{i}" for i in range(150))))
    port = FakeEngine()
    fill(EngineSession(port), part, open_training(port))
    steps = [step for step in port.steps if isinstance(step, Fill)]
    lengths = [len(piece.ids) for row in part for piece in row.pieces]
    assert [step.keys for step in steps] == prediction_batches(lengths)
    assert [[row.ids for row in step.rows] for step in steps] == [
        [part[key].pieces[0].ids for key in step.keys] for step in steps
    ]


def test_what_the_engine_refuses_to_fill_is_told() -> None:
    (part,) = assign_keys(rows("one", "two"))
    port = FakeEngine(broken={Fill: BadTraining("not these")})
    with pytest.raises(BadTraining, match="not these"):
        fill(EngineSession(port), part, 1)
