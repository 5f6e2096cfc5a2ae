"""Sorts customers' mail: `python examples/classify_mail.py` beside `make serve`."""

from __future__ import annotations

from adapterd import Client

MAIL = [
    "Hello, I paid for the desk lamps two times, can I have my money back? Ada",
    "My parcel was to come on Tuesday and is nowhere to be seen.",
    "The chair wobbles and one leg is cracked.",
    "Which sizes do the coats come in?",
]


def main() -> None:
    with Client() as client:
        job = client.train(
            "mail",
            data="examples/data/mail.jsonl",
            head="classify",
            settings={"class_weights": "balanced"},
        )
        print("on untouched rows:", job.result["metrics"]["test"])
        answers = client.predict(f"mail@{job.version}", MAIL).outputs
        for text, answer in zip(MAIL, answers, strict=True):
            print(f"{answer.label:<9} {answer.score:.2f}  {text}")


if __name__ == "__main__":
    main()
