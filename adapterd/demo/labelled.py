"""The two labelled data sets that are shipped with adapterd, and where their files are."""

from __future__ import annotations

import json
from pathlib import Path

from adapterd.errors import BadSetting

SENTIMENT = "sentiment.jsonl"
REVIEW_SCORE = "review_score.jsonl"


def labelled_file(name: str) -> Path:
    """The path of a data set: an installed package has them here, a checkout in examples/."""
    here = Path(__file__).resolve()
    folders = (here.parent / "data", here.parents[2] / "examples" / "data")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise BadSetting(f"{name} is neither in {folders[0]} nor in {folders[1]}")


def demo_texts() -> list[str]:
    """The texts of both data sets, alternating."""
    pairs = zip(_read_texts(SENTIMENT), _read_texts(REVIEW_SCORE), strict=False)
    return [text for pair in pairs for text in pair]


def _read_texts(name: str) -> list[str]:
    lines = labelled_file(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]
