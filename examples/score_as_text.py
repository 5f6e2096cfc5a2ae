"""Scores reviews by generating the number as text.

Start `adapterd serve --base BASE` with the folder or Hugging Face id of a T5 (BART and decoders
work as well), then run `python examples/score_as_text.py`. The quality depends on the base: a T5
with 8 million parameters and little pretraining reaches a Pearson correlation of 0.2 on these 900
reviews.
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
    """Rounds the scores to whole numbers: each further digit is one more to get wrong."""
    lines = Path("examples/data/review_score.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    written = [{"text": row["text"], "label": str(round(row["score"]))} for row in rows]
    target.write_text("\n".join(map(json.dumps, written)), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, Client() as client:
        info = client.info()
        if "generate" not in info["heads"]:
            raise SystemExit(f"{info['base']} cannot generate text; serve a T5, as this file says")
        data = Path(directory) / "scores.jsonl"
        write_whole_scores(data)
        job = client.train(
            "stars-text",
            data=data,
            head="generate",
            # few rows: train on all of them, without dev rows, and keep the last epoch
            settings={"epochs": 6, "learning_rate": 5e-3, "dev_share": 0},
        )
        print("on test rows:", job.result["metrics"]["test"])
        answers = client.predict(f"stars-text@{job.version}", REVIEWS).outputs
        for text, answer in zip(REVIEWS, answers, strict=True):
            print(f"{answer.text!r} means {answer.value}: {text}")


if __name__ == "__main__":
    main()
