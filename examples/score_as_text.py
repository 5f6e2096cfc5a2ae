"""Scores reviews by writing the number: `python examples/score_as_text.py` beside a server of a T5.

`adapterd serve --base FOLDER` with the folder or hub id of any T5; BART and decoders do as well.
The numbers are as good as the base: a T5 of 8 million parameters that has read little reaches a
Pearson of 0.2 on these 900 reviews.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from adapterd import Client

REVIEWS = [
    "a triumph from its first scene to its last, and wonderfully funny",
    "two hours of a dull and pointless story that felt like six",
    "it has its moments",
]


def write_whole_scores(target: Path) -> None:
    """Scores as one digit: each further one would be one more to get wrong."""
    lines = Path("examples/data/review_score.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    written = [{"text": row["text"], "label": str(round(row["score"]))} for row in rows]
    target.write_text("\n".join(map(json.dumps, written)), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, Client() as client:
        info = client.info()
        if "generate" not in info["heads"]:
            raise SystemExit(f"{info['base']} does not write; serve a T5, as this file says")
        data = Path(directory) / "scores.jsonl"
        write_whole_scores(data)
        job = client.train(
            "stars-text",
            data=data,
            head="generate",
            # few rows: all of them teach, and the last epoch is kept
            settings={"epochs": 6, "learning_rate": 5e-3, "dev_share": 0},
        )
        print("on untouched rows:", job.result["metrics"]["test"])
        answers = client.predict(f"stars-text@{job.version}", REVIEWS).outputs
        for text, answer in zip(REVIEWS, answers, strict=True):
            print(f"{answer.text!r} is read as {answer.value}: {text}")


if __name__ == "__main__":
    main()
