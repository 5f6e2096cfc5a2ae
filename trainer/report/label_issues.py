"""The rows with the highest loss: hard rows, or rows whose label is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

MAX_SUSPECTS = 10
MAX_CHARS = 160


class Suspect(TypedDict):
    """A row whose prediction differs from its label."""

    #: "train" or "test"
    split: str
    #: its line in the file, from 1
    line: int
    #: at most so many characters of its text, label and prediction: `MAX_CHARS`
    text: str
    label: str
    answer: str
    #: the head's loss; of spans and generated texts, 1 less the row's word F1
    loss: float


def find_label_issues(
    split: str,
    rows: Sequence[Mapping[str, Any]],
    guesses: Sequence[Any],
    losses: Sequence[float | None],
) -> list[Suspect]:
    """Highest loss first; rows whose prediction equals their label are left out."""
    wrong = [
        (loss, index)
        for index, loss in enumerate(losses)
        if loss is not None and guesses[index] != rows[index]["label"]
    ]
    return [
        {
            "split": split,
            "line": rows[index]["line"],
            "text": shorten(rows[index]["text"]),
            "label": shorten(format_label(rows[index]["label"])),
            "answer": shorten(format_label(guesses[index])),
            "loss": loss,
        }
        for loss, index in sorted(wrong, key=lambda pair: (-pair[0], pair[1]))[:MAX_SUSPECTS]
    ]


def format_label(value: Any) -> str:
    """A label or an answer on one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        parts = [part[0] if isinstance(part, list | tuple) else part for part in value]
        return ", ".join(map(str, parts)) or "(none)"
    return str(value)


def shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"
