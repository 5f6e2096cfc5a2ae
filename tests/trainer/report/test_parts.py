"""The parts of a report, each from small plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.heads import HEADS
from tests.trainer.build import examples
from trainer.evaluation.temperature import fit_temperature
from trainer.heads.encoded import EncodedRow, Piece
from trainer.report.advice import advise
from trainer.report.calibration import measure_calibration
from trainer.report.classes import MAX_LABELS, count_confusions, score_classes
from trainer.report.label_issues import MAX_CHARS, find_label_issues
from trainer.report.learning_curve import judge_learning_curve
from trainer.report.reporter import MAX_BYTES, limit_size, round_figures
from trainer.report.slices import score_slices

HEAD = HEADS["classify"].check({"kind": "classify", "labels": ["no", "yes"]})


def row(label: Any, text: str = "some text", tokens: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "line": 1, "text": text, "both": (text, None), "words": [], "label": label,
        "tokens": tokens, "truncated": False, "named": True, "spans": False, **more,
    }  # fmt: skip


def drawn(temperature: float, num: int = 4000, seed: int = 3) -> tuple[list[EncodedRow], list[Any]]:
    """Rows whose labels follow their logits, once divided by the temperature."""
    random = np.random.default_rng(seed)
    margins = random.normal(size=num) * 3
    yes = random.random(num) < 1 / (1 + np.exp(-margins / temperature))
    logits = [np.array([0.0, margin], np.float32) for margin in margins]
    rows = [
        EncodedRow(
            pieces=(Piece(ids=[0], type_ids=None, target=int(each)),),
            example=examples(["yes" if each else "no"])[0],
            truncated=False,
        )
        for each in yes
    ]
    return rows, logits


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_a_temperature_is_found_again(temperature: float) -> None:
    rows, logits = drawn(temperature)
    found = fit_temperature(HEAD, rows, logits)["temperature"]
    assert found == pytest.approx(temperature, rel=0.1)


def test_probabilities_that_are_right_already_get_no_temperature() -> None:
    rows, logits = drawn(1.0)
    assert fit_temperature(HEAD, rows, logits) == HEAD


def test_a_temperature_is_seldom_kept_for_a_few_rows_that_need_none() -> None:
    kept = []
    for seed in range(20):
        rows, logits = drawn(1.0, 30, seed)
        kept.append("temperature" in fit_temperature(HEAD, rows, logits))
    assert sum(kept) < 10


def test_a_temperature_lowers_the_calibration_error_and_moves_no_answer() -> None:
    rows, logits = drawn(2.5)
    truth = [str(each.example.label) for each in rows]
    found = measure_calibration(
        {**HEAD, "temperature": 2.5}, [each.tolist() for each in logits], truth, 400
    )
    assert found is not None
    assert found["before"]["ece"] > 0.08
    assert found["after"]["ece"] < 0.03
    assert found["after"]["loss"] < found["before"]["loss"]


def test_few_dev_rows_that_are_all_right_make_it_not_as_sure_as_can_be() -> None:
    rows, _ = drawn(1.0, 24)
    logits = [np.array([0, 1 if each.target else -1], np.float32) for each in rows]
    assert fit_temperature(HEAD, rows, logits)["temperature"] > 0.15


def test_too_few_dev_rows_fit_no_temperature() -> None:
    rows, logits = drawn(2.0, 19)
    assert fit_temperature(HEAD, rows, logits) == HEAD


def test_a_head_without_probabilities_has_no_calibration() -> None:
    assert measure_calibration({"kind": "regress"}, [[0.1]], [0.1], 9) is None


@pytest.mark.parametrize(
    ("temperature", "is_worse", "words"),
    [
        (2.5, False, "use the temperature 2.5, fitted on 400 dev rows; predicted labels do not"),
        (0.4, True, "It makes the probabilities of the test rows worse: log loss "),
        (1.0, False, "Probabilities are served as trained: expected calibration error "),
    ],
)
def test_calibration_names_the_temperature_and_says_when_it_makes_test_rows_worse(
    temperature: float, is_worse: bool, words: str
) -> None:
    rows, logits = drawn(2.5)
    truth = [str(each.example.label) for each in rows]
    head = {**HEAD, "temperature": temperature}
    found = measure_calibration(head, [each.tolist() for each in logits], truth, 400)
    assert found is not None
    assert found["is_worse"] is is_worse
    assert words in found["words"]


def test_the_confusion_has_the_truth_down_and_the_commonest_mistake_first() -> None:
    found = count_confusions(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    assert found is not None
    assert (found["labels"], found["counts"]) == (["a", "b"], [[1, 1], [0, 2]])
    assert found["mistakes"] == [{"label": "a", "answer": "b", "rows": 1}]


def test_very_many_labels_have_a_bounded_confusion() -> None:
    names = [f"l{i}" for i in range(100)]
    found = count_confusions(names, names)
    assert found is not None
    assert (len(found["counts"]), found["left_out"]) == (MAX_LABELS, 100 - MAX_LABELS)


def test_labels_are_listed_worst_first_of_one_or_of_several() -> None:
    assert [each["label"] for each in score_classes("classify", ["a", "b"], ["a", "a"])] == [
        "b",
        "a",
    ]
    several = score_classes("classify", [["a"], ["a", "b"], []], [["a"], ["a"], []])
    assert [(each["label"], each["f1"], each["rows"]) for each in several] == [
        ("b", 0.0, 1), ("a", 1.0, 2),
    ]  # fmt: skip
    entities = score_classes("tag", [["B-x", "O"]], [["B-x", "O"]])
    assert entities == [{"label": "x", "rows": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0}]


def test_the_slice_that_costs_most_rows_comes_first_and_better_ones_are_left_out() -> None:
    test = [row("yes", tokens=3) for _ in range(30)] + [row("no", tokens=40) for _ in range(10)]
    guesses = ["yes"] * 40
    found = score_slices("classify", [row("yes")], test, guesses, "accuracy")
    assert (found[0]["value"], found[0]["gap"]) == (0.0, pytest.approx(0.75))
    assert [each["slice"] for each in found] == ["over 3 tokens", "no"]
    assert found[0]["harm"] == pytest.approx(7.5)


def test_many_rows_that_are_a_little_worse_count_more_than_a_few_that_are_much_worse() -> None:
    test = [row("big") for _ in range(50)] + [row("few") for _ in range(8)] + [row("x")] * 42
    guesses = ["x"] * 25 + ["big"] * 25 + ["x"] * 6 + ["few"] * 2 + ["x"] * 42
    found = score_slices("classify", [row("x")], test, guesses, "accuracy")
    assert [each["slice"] for each in found if each["by"] == "label"] == ["big", "few"]
    assert found[0]["gap"] < found[1]["gap"]


def test_words_that_training_lacks_make_a_slice_of_their_own() -> None:
    train = [row("yes", "common words here") for _ in range(5)]
    test = [row("yes", "common words here")] * 30 + [row("no", "zyx wvu tsr")] * 10
    found = score_slices("classify", train, test, ["yes"] * 40, "accuracy")
    rare = next(each for each in found if each["by"] == "words" and each["gap"] > 0)
    assert (rare["rows"], rare["value"]) == (10, 0.0)


def test_the_row_with_the_highest_loss_is_the_first_suspect() -> None:
    rows = [row("a", "first"), row("a", "x" * 500, line=9), row("b", "right")]
    found = find_label_issues("train", rows, ["b", "b", "b"], [0.5, 2.0, 9.0])
    assert [each["line"] for each in found] == [9, 1]
    assert len(found[0]["text"]) == MAX_CHARS


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.6, 0.8], "More data would help: "),
        ([0.5, 0.79, 0.8], "More data would help little"),
        ([0.5, 0.81, 0.8], "would hardly help"),
    ],
)
def test_a_learning_curve_says_whether_more_data_would_help(
    values: list[float], words: str
) -> None:
    points = [
        {"share": share, "rows": round(400 * share), "value": value, "more_is_better": True}
        for share, value in zip((0.25, 0.5, 1.0), values, strict=True)
    ]
    found = judge_learning_curve(points, {"low": 0.76, "high": 0.84})
    assert found is not None
    assert words in found["words"]


def advised(*epochs: tuple[float, float, bool], **more: Any) -> str:
    """Of epochs as (training loss, dev loss, kept)."""
    curve = [
        {"number": i + 1, "loss": loss, "dev_loss": dev, "value": 0.5, "best": best}
        for i, (loss, dev, best) in enumerate(epochs)
    ]
    report = {
        "comparisons": [], "curves": [{"kept": True, "epochs": curve}], "seeds": None,
        "headline": None, "rows": {"test": 10}, "labels": {}, "calibration": None,
        "learning_curve": None, "full_finetuning": None, "suspects": [], **more,
    }  # fmt: skip
    return " ".join(advise(report))


def test_a_dev_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    said = advised((0.6, 0.5, False), (0.3, 0.4, True), (0.1, 0.6, False))
    assert "Overfitting: the dev loss rises from 0.4 after epoch 2 to 0.6 after epoch 3" in said


def test_a_training_loss_that_hardly_falls_is_underfitting() -> None:
    assert "Underfitting" in advised((0.69, 0.69, False), (0.67, 0.68, True))


def test_a_last_epoch_that_is_best_may_not_be_enough() -> None:
    assert "Epoch 2, the last, is the best" in advised((0.6, 0.5, False), (0.3, 0.4, True))


def test_curves_that_are_well_need_no_advice() -> None:
    assert advised((0.6, 0.5, False), (0.3, 0.4, True), (0.25, 0.405, False)) == ""


def test_rare_labels_are_named() -> None:
    said = advised((0.6, 0.5, True), labels={"odd": 3, "usual": 90})
    assert "Fewer than 8 training rows have the label odd." in said


def test_figures_are_rounded_and_a_report_is_bounded() -> None:
    assert round_figures({"a": [0.123456789, 1e-12, 0.0, 3]}) == {"a": [0.123457, 1e-12, 0.0, 3]}
    large = {"confusion": {"x": "y" * MAX_BYTES}, "suspects": [{"text": "z"}], "headline": 1}
    found = limit_size(large)
    assert found["left_out"] == ["confusion"]
    assert (found["confusion"], found["suspects"]) == ({}, [{"text": "z"}])
