"""Scores film reviews from -4 to 4.

Start `make serve`, then run `python examples/score_reviews.py`.
"""

from __future__ import annotations

from adapterd import Client

REVIEWS = ["a triumph from its first scene to its last", "two hours that felt like six", "fine"]


def main() -> None:
    with Client() as client:
        job = client.train(
            "stars",
            data="examples/data/review_score.jsonl",
            head="regress",
            label_column="score",
            settings={"preset": "fast"},  # half of the layers, so that it takes seconds
        )
        print("on test rows:", job.result["metrics"]["test"])
        answers = client.predict(f"stars@{job.version}", REVIEWS).outputs
        for text, answer in zip(REVIEWS, answers, strict=True):
            print(f"{answer.value:+.2f}  {text}")


if __name__ == "__main__":
    main()
