"""What heads minimise, beside torch's own losses, and answers of heads of several numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine.errors import BadAdapter, BadAnswering
from engine.heads import HEADS
from engine.heads.head import AnswerOptions
from engine.port import LossOptions
from tests.engine.texts import word_tokenizer

ENCODING = word_tokenizer().encode("anna lives")
SINGLE = HEADS["classify"].check({"kind": "classify", "labels": ["a", "b", "c"]})
MULTI = HEADS["classify"].check(
    {"kind": "classify", "labels": ["a", "b", "c"], "multi_label": True, "threshold": 0.6}
)
TAG = HEADS["tag"].check({"kind": "tag", "labels": ["O", "B-x", "I-x"]})
EMBED = HEADS["embed"].check({"kind": "embed"})
RERANK = HEADS["rerank"].check({"kind": "rerank"})


def loss(head: dict[str, Any], given: torch.Tensor, targets: list[Any], **options: Any) -> float:
    kind = HEADS[head["kind"]]
    lengths = [len(given)] if kind.per_token else []
    return float(kind.loss(given, targets, lengths, head, LossOptions(**options)).item())


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_class_weights_scale_each_row_by_its_label_s_weight() -> None:
    given, targets, weights = drawn(4, 3), [0, 1, 1, 2], [2.0, 0.5, 1.0]
    each = functional.cross_entropy(given, torch.tensor(targets), reduction="none")
    expected = (each * torch.tensor([2.0, 0.5, 0.5, 1.0])).mean().item()
    assert loss(SINGLE, given, targets, class_weights=weights) == pytest.approx(expected)


def test_label_smoothing_is_torch_s() -> None:
    given, targets = drawn(4, 3), [0, 1, 1, 2]
    expected = functional.cross_entropy(given, torch.tensor(targets), label_smoothing=0.2).item()
    assert loss(SINGLE, given, targets, label_smoothing=0.2) == pytest.approx(expected)


def test_several_labels_are_as_many_binary_losses() -> None:
    given, targets = drawn(2, 3), [[1, 0, 1], [0, 0, 0]]
    expected = functional.binary_cross_entropy_with_logits(given, torch.tensor(targets).float())
    assert loss(MULTI, given, targets) == pytest.approx(expected.item())


def test_tags_that_are_ignored_count_nothing() -> None:
    given = drawn(4, 3)
    expected = functional.cross_entropy(given[1:3], torch.tensor([1, 0])).item()
    assert loss(TAG, given, [[-100, 1, 0, -100]]) == pytest.approx(expected)


def test_rerank_is_one_binary_loss() -> None:
    given = drawn(3, 1)
    expected = functional.binary_cross_entropy_with_logits(given[:, 0], torch.tensor([1.0, 0, 1]))
    assert loss(RERANK, given, [1.0, 0.0, 1.0]) == pytest.approx(expected.item())


def test_partners_are_told_from_the_other_pairs_both_ways() -> None:
    given = drawn(6, 5)
    unit = functional.normalize(given, dim=-1)
    similar, own = unit[::2] @ unit[1::2].T * 20, torch.arange(3)
    expected = (
        functional.cross_entropy(similar, own) + functional.cross_entropy(similar.T, own)
    ) / 2
    assert loss(EMBED, given, [None] * 6) == pytest.approx(expected.item())


def test_scored_pairs_are_as_alike_as_their_score() -> None:
    given = drawn(4, 5)
    cosines = functional.cosine_similarity(given[::2], given[1::2])
    expected = functional.mse_loss(cosines, torch.tensor([1.0, -0.5])).item()
    assert loss(EMBED, given, [1.0, 1.0, -0.5, -0.5]) == pytest.approx(expected)


def test_a_multi_label_answer_lists_what_reaches_the_threshold() -> None:
    given = np.array([1.0, 0.0, -1.0], np.float32)
    answer = HEADS["classify"].decode(given, MULTI, ENCODING, "", AnswerOptions())
    assert answer["labels"] == ["a"]
    assert answer["label"] == "a"
    assert answer["scores"] == pytest.approx({"a": 0.7311, "b": 0.5, "c": 0.2689}, abs=1e-4)


def test_raw_scores_change_no_label_of_a_multi_label_answer() -> None:
    given = np.array([0.45, 0.3, -1.0], np.float32)
    answer = HEADS["classify"].decode(given, MULTI, ENCODING, "", AnswerOptions(raw_scores=True))
    assert answer["labels"] == ["a"]
    assert answer["scores"]["a"] == pytest.approx(0.45)


def test_several_labels_are_trained_as_yes_and_no() -> None:
    assert HEADS["classify"].targets(["c", "a"], [ENCODING], MULTI) == [[1, 0, 1]]
    with pytest.raises(BadAdapter, match="'d' is not one of"):
        HEADS["classify"].targets(["d"], [ENCODING], MULTI)


def test_an_embedding_has_length_one_unless_told_otherwise() -> None:
    given = np.array([3.0, 4.0], np.float32)
    decode = HEADS["embed"].decode
    assert decode(given, EMBED, ENCODING, "", AnswerOptions()) == {"embedding": [0.6, 0.8]}
    plain = decode(given, EMBED, ENCODING, "", AnswerOptions(normalize=False))
    assert plain == {"embedding": [3.0, 4.0]}


def test_an_embedding_is_cut_first_and_normalised_then() -> None:
    given = np.array([3.0, 4.0, 12.0], np.float32)
    answer = HEADS["embed"].decode(given, EMBED, ENCODING, "", AnswerOptions(dimensions=2))
    assert answer == {"embedding": [0.6, 0.8]}


def test_more_dimensions_than_there_are_are_refused_with_both_numbers() -> None:
    with pytest.raises(BadAnswering, match="dimensions is 3; the embedding has 2"):
        HEADS["embed"].decode(
            np.ones(2, np.float32), EMBED, ENCODING, "", AnswerOptions(dimensions=3)
        )


def test_a_relevance_is_a_probability_or_its_logit() -> None:
    given = np.array([0.0], np.float32)
    assert HEADS["rerank"].decode(given, RERANK, ENCODING, "", AnswerOptions()) == {"score": 0.5}
    raw = HEADS["rerank"].decode(given, RERANK, ENCODING, "", AnswerOptions(raw_scores=True))
    assert raw == {"score": 0.0}


REFUSED: dict[str, dict[str, Any]] = {
    "threshold": {"kind": "classify", "labels": ["a", "b"], "threshold": 0.5},
    "multi_label": {"kind": "classify", "labels": ["a", "b"], "multi_label": "yes"},
    "input": {"kind": "rerank", "input": "text"},
    "dimensions": {"kind": "embed", "dimensions": 0},
    "window": {"kind": "tag", "labels": ["O", "B-x"], "window": 3},
    "stride": {"kind": "tag", "labels": ["O", "B-x"], "window": 32, "stride": 30},
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_are_refused_by_name(name: str) -> None:
    head = REFUSED[name]
    with pytest.raises(BadAdapter, match=name):
        HEADS[head["kind"]].check(head)
