"""The two labelled sets that come with adapterd. Knows where they lie and how to read them."""

from __future__ import annotations

import json
from pathlib import Path

from adapterd.errors import BadSetting

SENTIMENT = "sentiment.jsonl"
REVIEW_SCORE = "review_score.jsonl"


def labelled_file(name: str) -> Path:
    """An installed package carries the sets beside this module, a checkout under examples/."""
    here = Path(__file__).resolve()
    folders = (here.parent / "data", here.parents[2] / "examples" / "data")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise BadSetting(f"{name} is neither in {folders[0]} nor in {folders[1]}")


def demo_texts() -> list[str]:
    """Real texts of both sets, alternating."""
    pairs = zip(_texts(SENTIMENT), _texts(REVIEW_SCORE), strict=False)
    return [text for pair in pairs for text in pair]


def _texts(name: str) -> list[str]:
    lines = labelled_file(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]
