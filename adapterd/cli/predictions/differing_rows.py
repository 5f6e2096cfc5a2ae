"""The rows to which two versions answer differently: the order of their list, and their file.

Knows answered rows; no test and no server.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterd.batch.line_feeds import LineFeeds
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from trainer.report.file_evaluation import AnsweredFile

_SUFFIXES = (".csv", ".jsonl")
#: heads whose answers are numbers, which differ more or less
_NUMBERS = ("regress", "embed", "rerank")


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingRow:
    """One row; answers are right or wrong only where they are no numbers."""

    line: int
    text: str
    label: str
    ours: str
    theirs: str
    ours_right: bool | None
    theirs_right: bool | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_differing(ours: AnsweredFile, theirs: AnsweredFile) -> list[DifferingRow]:
    """First the rows that only the other version answers rightly, then those that only ours does,
    then those that both answer wrongly; numbers by how far they are apart.
    """
    from trainer.report.file_evaluation import to_plain

    rows = []
    for example, mine, other in zip(ours.examples, ours.guesses, theirs.guesses, strict=True):
        if mine == other:
            continue
        label, answers = to_plain(example.label), (to_plain(mine), to_plain(other))
        right = [_is_right(ours.head, label, answer) for answer in answers]
        row = DifferingRow(
            line=example.line,
            text=example.text if example.pair is None else f"{example.text} | {example.pair}",
            label=_format(label),
            ours=_format(answers[0]),
            theirs=_format(answers[1]),
            ours_right=right[0],
            theirs_right=right[1],
        )
        distance = abs(mine - other) if ours.head in _NUMBERS else 0.0
        rows.append((not right[1], not right[0], -distance, row.line, row))
    return [row for *_, row in sorted(rows, key=lambda entry: entry[:-1])]


def check_output(path: Path | None) -> None:
    """Raises BadSetting, before anything is sent."""
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise BadSetting(f"--output is {path.name}; its name must end with .csv or .jsonl.")


def write_rows(path: Path, rows: list[DifferingRow], names: tuple[str, str]) -> None:
    """The columns of the answers are named for the versions."""
    titles = {"ours": names[0], "theirs": names[1]}
    titles |= {f"{side}_right": f"{name} is right" for side, name in list(titles.items())}
    records = [{titles.get(k, k): v for k, v in row.to_dict().items()} for row in rows]
    columns = [titles.get(name, name) for name in DifferingRow.__slots__]
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            if path.suffix.lower() == ".jsonl":
                stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in records)
                return
            writer = csv.DictWriter(LineFeeds(stream), columns)
            writer.writeheader()
            writer.writerows(records)
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.") from error


def _is_right(head: str, label: Any, answer: Any) -> bool | None:
    if head in _NUMBERS:
        return None
    if head == "span":
        return answer in [text for text, _ in label] or (not label and not answer)
    if head == "generate":
        return str(label).strip() == str(answer).strip()
    return bool(label == answer)


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
