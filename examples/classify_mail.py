"""Classifies customer mail by topic.

Start `make serve`, then run `python examples/classify_mail.py`.
"""

from __future__ import annotations

from adapterd import Client

MAIL = [
    "Hello, I paid for the desk lamps two times, can I have my money back? Ada",
    "My parcel was due on Tuesday and has not arrived.",
    "The chair wobbles and one leg is cracked.",
    "Which sizes do the coats come in?",
]


def main() -> None:
    with Client() as client:
        job = client.train(
            "mail",
            data="examples/data/mail.jsonl",
            head="classify",
            # one run instead of three, so that it takes seconds
            settings={"class_weights": "balanced"},
        )
        print("on test rows:", job.result["metrics"]["test"])
        answers = client.predict(f"mail@{job.version}", MAIL).outputs
        for text, answer in zip(MAIL, answers, strict=True):
            print(f"{answer.label:<9} {answer.score:.2f}  {text}")


if __name__ == "__main__":
    main()
