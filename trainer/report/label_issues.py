"""The rows with the highest loss: what the version got most wrong, or whose label is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_SUSPECTS = 10
MAX_CHARS = 160


def find_label_issues(
    split: str,
    rows: Sequence[Mapping[str, Any]],
    guesses: Sequence[Any],
    losses: Sequence[float | None],
) -> list[dict[str, Any]]:
    """Highest loss first; a row that is answered as it is labelled is none."""
    found = [
        (loss, index)
        for index, loss in enumerate(losses)
        if loss is not None and guesses[index] != rows[index]["label"]
    ]
    return [
        {
            "split": split,
            "line": rows[index]["line"],
            "text": excerpt(rows[index]["text"]),
            "label": excerpt(shown(rows[index]["label"])),
            "answer": excerpt(shown(guesses[index])),
            "loss": loss,
        }
        for loss, index in sorted(found, key=lambda each: (-each[0], each[1]))[:MAX_SUSPECTS]
    ]


def shown(value: Any) -> str:
    """A label or an answer in a line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        parts = [each[0] if isinstance(each, list | tuple) else each for each in value]
        return ", ".join(map(str, parts)) or "(none)"
    return str(value)


def excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"
