"""Advice on what to do next, derived from the curves and figures of the composed report. Knows
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from trainer.report.report import Sections
from trainer.report.report_input import Epoch
from trainer.wording import count_of

#: a loss rises if it does so by more than this share
_RISE = 0.05
#: a training loss that falls by less is underfitting
_FALL = 0.1
#: a wider interval asks for more test rows
_WIDE = 0.1
_FEW_OF_A_LABEL = 8


def advise(report: Sections) -> list[str]:
    """Sentences, the most important first."""
    advisers: tuple[Callable[[Sections], Iterator[str]], ...] = (
        _on_fit,
        _on_seeds,
        _on_test_rows,
        _on_labels,
        _on_learning_curve,
        _on_full_finetuning,
        _on_suspects,
    )
    return [sentence for advise_on in advisers for sentence in advise_on(report)]


def _on_fit(report: Sections) -> Iterator[str]:
    for run in report["curves"]:
        if run["kept"]:
            yield from _judge_fit(run["epochs"])


def _judge_fit(epochs: Sequence[Epoch]) -> Iterator[str]:
    if len(epochs) < 2:
        return
    first, last = epochs[0], epochs[-1]
    best = next((epoch for epoch in reversed(epochs) if epoch["best"]), last)
    if last["loss"] > first["loss"] * (1 - _FALL):
        yield (
            f"Underfitting: the training loss hardly fell, from {first['loss']:.3g} to "
            f"{last['loss']:.3g}. A higher learning rate, a larger rank, more layers or more "
            "epochs may help."
        )
    elif best is last:
        yield (f"Epoch {last['number']}, the last, is the best on dev: more epochs may still help.")
    if rise := _find_rise(epochs):
        low, high = rise
        yield (
            f"Overfitting: the dev loss rises from {low['dev_loss']:.3g} after epoch "
            f"{low['number']} to {high['dev_loss']:.3g} after epoch {high['number']}, while the "
            "training loss still falls. Epoch "
            f"{best['number']} was kept; fewer epochs, more dropout or more rows may help."
        )


def _find_rise(epochs: Sequence[Epoch]) -> tuple[Epoch, Epoch] | None:
    """The epochs between which the dev loss rises while the training loss falls."""
    losses = [(epoch["dev_loss"], epoch) for epoch in epochs if epoch["dev_loss"] is not None]
    if len(losses) < 2:
        return None
    (low_loss, low), (last_loss, last) = min(losses, key=lambda pair: pair[0]), losses[-1]
    rises = last_loss > low_loss * (1 + _RISE)
    return (low, last) if rises and last["loss"] < low["loss"] else None


def _on_seeds(report: Sections) -> Iterator[str]:
    seeds, interval = report["seeds"], report["headline"]
    if seeds and seeds["std"] and interval and seeds["std"] > (interval["high"] - interval["low"]):
        yield (
            f"The metric varies more between seeds (standard deviation {seeds['std']:.3f}) than "
            "its 95 % interval is wide: training is unstable; a lower learning rate or a longer "
            "warm-up may help."
        )


def _on_test_rows(report: Sections) -> Iterator[str]:
    headline = report["headline"]
    if headline and headline["relative"] and headline["high"] - headline["low"] > _WIDE:
        yield (
            f"With {count_of(report['rows']['test'], 'test row')}, the 95 % interval of the "
            f"{headline['metric'].replace('_', ' ')} is wide, {headline['low']:.3f} to "
            f"{headline['high']:.3f}; more test rows make it narrower."
        )


def _on_labels(report: Sections) -> Iterator[str]:
    few = [name for name, num in report["labels"].items() if num < _FEW_OF_A_LABEL]
    if few:
        names = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
        yield f"Fewer than {_FEW_OF_A_LABEL} training rows have the label {names}."


def _on_learning_curve(report: Sections) -> Iterator[str]:
    if report["learning_curve"]:
        yield report["learning_curve"]["words"]


def _on_full_finetuning(report: Sections) -> Iterator[str]:
    reference = report["full_finetuning"]
    if reference and reference.get("words"):
        yield reference["words"]


def _on_suspects(report: Sections) -> Iterator[str]:
    train = [suspect for suspect in report["suspects"] if suspect["split"] == "train"]
    if train:
        lines = ", ".join(str(suspect["line"]) for suspect in train[:5])
        yield (
            f"Check the labels on lines {lines} of the training file: after training, the answers "
            "to these rows still differ most from their labels."
        )
