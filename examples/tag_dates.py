"""Finds dates and periods in contracts.

Start `make serve`, then run `python examples/tag_dates.py`.
"""

from __future__ import annotations

from adapterd import Client

CONTRACT = (
    "This Agreement starts on 3 May 2027 and ends on 2029-12-31. Either Party may terminate it "
    "with sixty (60) days written notice. Clause 14 survives for two years."
)


def main() -> None:
    with Client() as client:
        job = client.train(
            "dates",
            data="examples/data/contract_dates.conll",
            head="tag",
            settings={"epochs": 15},
        )
        print("on test sentences:", job.result["metrics"]["test"])
        # a contract may have any length: a long one is read in overlapping windows
        (answer,) = client.predict(f"dates@{job.version}", CONTRACT).outputs
        for entity in answer.entities:
            print(f"{entity.label:<7} {entity.start:>4}-{entity.end:<4} {entity.text}")


if __name__ == "__main__":
    main()
