"""The split into train, dev and test rows. Pure: it depends on the rows and the seed, not on the
machine or the order of rows, because a hash of its text decides where a row goes.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trainer.errors import TooFewRows
from trainer.heads import HEAD_DATA
from trainer.readers.example import Example

MIN_TRAIN_PER_CLASS = 2

#: the classes of a row, each of which must be on both sides of a split
Strata = Callable[[Example], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows by part. No text is in two parts."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    #: rows dropped because an uploaded dev or test file has the same text
    num_leaked: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": len(self.train), "dev": len(self.dev), "test": len(self.test)}


def split_examples(
    examples: list[Example],
    *,
    head: str,
    seed: int,
    dev_share: float,
    test_share: float,
    dev: list[Example] | None = None,
    test: list[Example] | None = None,
) -> Split:
    """Uploaded dev or test rows are used unchanged; otherwise they are held out of `examples`,
    stratified by class.
    """
    held_out = {row.group for row in [*(dev or []), *(test or [])]}
    train = [row for row in examples if row.group not in held_out]
    num_leaked = len(examples) - len(train)
    strata = HEAD_DATA[head].strata
    if test is None:
        train, test = _hold_out(train, test_share, f"test {seed}", strata)
    test_groups = {row.group for row in test}
    if dev is not None:
        # the best epoch is chosen on dev rows, so test rows among them would raise the test score
        num_leaked += len(dev)
        dev = [row for row in dev if row.group not in test_groups]
        num_leaked -= len(dev)
    else:
        train, dev = (
            _hold_out(train, dev_share, f"dev {seed}", strata) if dev_share else (train, [])
        )
    _check(train, test, head)
    return Split(train=train, dev=dev, test=test, num_leaked=num_leaked)


def _hold_out(
    rows: list[Example], share: float, salt: str, strata: Strata
) -> tuple[list[Example], list[Example]]:
    held = set(_held_groups(rows, share, salt, strata))
    return [row for row in rows if row.group not in held], [
        row for row in rows if row.group in held
    ]


def _held_groups(rows: list[Example], share: float, salt: str, strata: Strata) -> Iterable[str]:
    """Whole groups, stratum by stratum; rounding errors carry over, so that small strata do not all
    lose their share.
    """
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for group, members in groups.items():
        # the first of several labels is a rough stratum, but enough
        by_label[min(min(strata(member), default="") for member in members)].append(group)
    owed = 0.0
    for label in sorted(by_label):
        size = sum(len(groups[group]) for group in by_label[label])
        owed += share * size
        spare = size - MIN_TRAIN_PER_CLASS
        for group in sorted(by_label[label], key=lambda name: _rank(name, salt)):
            if owed < len(groups[group]) / 2 or spare < len(groups[group]):
                break
            owed -= len(groups[group])
            spare -= len(groups[group])
            yield group


def _rank(group: str, salt: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{group}".encode()).digest()


def _check(train: list[Example], test: list[Example], head: str) -> None:
    if not test:
        raise TooFewRows(
            "The file has too few rows to hold out test rows; add rows or upload a test file.",
            rows=0,
            minimum=1,
        )
    if not train:
        raise TooFewRows(
            "Every text of the training file is also in the dev or test file, so no training rows "
            "are left.",
            rows=0,
            minimum=1,
        )
    _check_classes(train, test, HEAD_DATA[head].strata)


def _check_classes(train: list[Example], test: list[Example], strata: Strata) -> None:
    counts = Counter(label for row in train for label in strata(row))
    for label in sorted({label for row in [*train, *test] for label in strata(row)}):
        if counts[label] < MIN_TRAIN_PER_CLASS:
            raise TooFewRows(
                f"The label {label!r} has too few rows: {counts[label]} left to train on; each "
                f"label needs at least {MIN_TRAIN_PER_CLASS}.",
                rows=counts[label],
                minimum=MIN_TRAIN_PER_CLASS,
            )
