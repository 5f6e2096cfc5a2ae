"""Advice on what to do next, derived from the curves and figures of the composed report. Knows
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trainer.report.comparison import SIGNIFICANT

Report = Mapping[str, Any]
Epochs = Sequence[Mapping[str, Any]]

#: a loss that rises by less is not called rising
_RISE = 0.05
#: a training loss that falls by less has not learned much
_FALL = 0.1
#: an interval as wide as this leaves much open
_WIDE = 0.1
_FEW_OF_A_LABEL = 8


def advise(report: Report) -> list[str]:
    """Sentences, the most important first."""
    each: tuple[Callable[[Report], Iterator[str]], ...] = (
        _worth, _fit, _seeds, _rows, _labels, _confidence, _more_data, _frozen, _suspects,
    )  # fmt: skip
    return [sentence for speak in each for sentence in speak(report)]


def _worth(report: Report) -> Iterator[str]:
    for found in report["comparisons"]:
        if found["p"] >= SIGNIFICANT:
            yield (
                f"No significant difference from {found['against']} on these test rows; a larger "
                "test set could detect a smaller difference."
            )
        elif found["gain"] < 0:
            name = found["against"]
            yield f"{name[:1].upper()}{name[1:]} scores higher: prefer it to this version."


def _fit(report: Report) -> Iterator[str]:
    for run in report["curves"]:
        if run["kept"]:
            yield from _over_or_under(run["epochs"])


def _over_or_under(epochs: Epochs) -> Iterator[str]:
    if len(epochs) < 2:
        return
    first, last = epochs[0], epochs[-1]
    best = next((each for each in reversed(epochs) if each["best"]), last)
    if last["loss"] > first["loss"] * (1 - _FALL):
        yield (
            f"Underfitting: the training loss hardly fell, from {first['loss']:.3g} to "
            f"{last['loss']:.3g}. A higher learning rate, a larger rank, more layers or more "
            "epochs may help."
        )
    elif best is last:
        yield (f"Epoch {last['number']}, the last, is the best on dev: more epochs may still help.")
    if risen := _risen(epochs):
        low, high = risen
        yield (
            f"Overfitting: the dev loss rises from {low['dev_loss']:.3g} after epoch "
            f"{low['number']} to {high['dev_loss']:.3g} after epoch {high['number']}, while the "
            "training loss still falls. Epoch "
            f"{best['number']} was kept; fewer epochs, more dropout or more rows help."
        )


def _risen(epochs: Epochs) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    known = [each for each in epochs if each["dev_loss"] is not None]
    if len(known) < 2:
        return None
    low, last = min(known, key=lambda each: float(each["dev_loss"])), known[-1]
    rises = last["dev_loss"] > low["dev_loss"] * (1 + _RISE)
    return (low, last) if rises and last["loss"] < low["loss"] else None


def _seeds(report: Report) -> Iterator[str]:
    seeds, interval = report["seeds"], report["headline"]
    if seeds and seeds["std"] and interval and seeds["std"] > (interval["high"] - interval["low"]):
        yield (
            f"The metric varies more between seeds (standard deviation {seeds['std']:.3f}) than "
            "its 95 % interval is wide: training is unstable; a lower learning rate or a longer "
            "warm-up may help."
        )


def _rows(report: Report) -> Iterator[str]:
    found = report["headline"]
    if found and found["relative"] and found["high"] - found["low"] > _WIDE:
        yield (
            f"With {report['rows']['test']} test rows, the 95 % interval of the "
            f"{found['metric'].replace('_', ' ')} is wide, {found['low']:.3f} to "
            f"{found['high']:.3f}; more test rows make it narrower."
        )


def _labels(report: Report) -> Iterator[str]:
    few = [name for name, num in report["labels"].items() if num < _FEW_OF_A_LABEL]
    if few:
        named = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
        yield f"Fewer than {_FEW_OF_A_LABEL} training rows have the label {named}."


def _confidence(report: Report) -> Iterator[str]:
    found = report["calibration"]
    if found is None or found["temperature"] == 1.0:
        return
    sure = "over" if found["temperature"] > 1 else "under"
    yield (
        f"The model is {sure}-confident; probabilities are temperature-scaled "
        f"(T = {found['temperature']:.2f}), which changes the expected calibration error from "
        f"{found['before']['ece']:.3f} to {found['after']['ece']:.3f}."
    )


def _more_data(report: Report) -> Iterator[str]:
    if report["learning_curve"]:
        yield report["learning_curve"]["words"]


def _frozen(report: Report) -> Iterator[str]:
    found = report["full_finetuning"]
    if found and found.get("words"):
        yield found["words"]


def _suspects(report: Report) -> Iterator[str]:
    train = [each for each in report["suspects"] if each["split"] == "train"]
    if train:
        lines = ", ".join(str(each["line"]) for each in train[:5])
        yield (
            f"Check the labels on lines {lines} of the training file: the model trained on these "
            "rows and still predicts another label."
        )
