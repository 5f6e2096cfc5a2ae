"""What errors cost where labels have weights."""

from __future__ import annotations

from typing import Any

import pytest

from engine.heads import HEADS
from tests.trainer.report.test_selective import rows
from trainer.report.costs import score_costs

HEAD = HEADS["classify"].check({"kind": "classify", "labels": ["no", "yes"]})
TRUTH = ["yes"] * 10 + ["no"] * 90
GUESSES = {"this version": ["no"] * 4 + ["yes"] * 8 + ["no"] * 88, "majority class": ["no"] * 100}


def cost(head: Any = HEAD, weights: Any = None, dev: Any = ([], [])) -> Any:
    logits, _ = rows((100, 0.4, 0))
    return score_costs(head, weights or {"yes": 5.0}, TRUTH, GUESSES, (logits, dev[0]), dev[1])


def test_an_error_on_a_row_costs_the_weight_of_its_label() -> None:
    found = cost()
    assert found["weights"] == {"no": 1.0, "yes": 5.0}
    values = {model["name"]: model["cost"]["value"] for model in found["models"]}
    assert values == {"this version": pytest.approx(220), "majority class": pytest.approx(500)}
    assert found["models"][0]["cost"]["low"] < 220 < found["models"][0]["cost"]["high"]
    assert found["words"][0].startswith("Errors cost 220.0 per 1,000 rows (95 % interval ")
    assert found["words"][0].endswith("; 500.0 with majority class.")


def test_the_cheapest_threshold_of_two_labels_is_chosen_on_dev_and_judged_on_test() -> None:
    dev = rows((30, 0.4, 10), (30, 0.1, 0))
    found = cost(dev=dev)
    cheapest = found["cheapest"]
    assert (cheapest["label"], cheapest["threshold"]) == ("yes", 0.4)
    assert cheapest["cost"]["value"] == pytest.approx(900)
    assert found["words"][1] == (
        "Predicting yes from a probability of 0.40 on, which costs least on 60 dev rows, costs "
        "900.0 per 1,000 test rows instead of 220.0."
    )


def test_few_dev_rows_choose_no_threshold() -> None:
    assert cost(dev=rows((19, 0.4, 9)))["cheapest"] is None


def test_more_than_two_labels_have_costs_and_no_threshold() -> None:
    head = HEADS["classify"].check({"kind": "classify", "labels": ["no", "yes", "maybe"]})
    found = cost(head, {"yes": 5.0, "maybe": 2.0}, rows((30, 0.4, 10)))
    assert (found["cheapest"], len(found["models"])) == (None, 2)


@pytest.mark.parametrize(
    ("head", "weights"),
    [({"kind": "regress"}, {"yes": 5.0}), ({**HEAD, "multi_label": True}, {"yes": 5.0})],
)
def test_heads_that_do_not_choose_one_label_have_no_costs(head: Any, weights: Any) -> None:
    assert cost(head, weights) is None


def test_labels_without_weights_have_no_costs() -> None:
    assert score_costs(HEAD, None, TRUTH, GUESSES, ([], []), []) is None
