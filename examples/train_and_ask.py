"""Trains a task from a labelled file and calls it.

Start `make serve`, then run `python examples/train_and_ask.py`.
"""

from __future__ import annotations

from adapterd import Client


def main() -> None:
    with Client() as client:
        job = client.train(
            "sentiment",
            data="examples/data/sentiment.jsonl",
            head="classify",
            settings={"preset": "fast"},  # half of the layers, so that it takes seconds
            on_job=lambda job: print(f"{job.phase:<12} {job.progress:4.0%}"),
        )
        print("adapter on test rows: ", job.result["metrics"]["test"])
        print("baseline on test rows:", job.result["baseline"]["test"])

        prediction = client.predict(f"sentiment@{job.version}", ["what a day", "never again"])
        print(prediction.digest, *prediction.outputs, sep="\n")


if __name__ == "__main__":
    main()
