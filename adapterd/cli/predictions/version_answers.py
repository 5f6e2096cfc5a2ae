"""One version on one labelled file: its answers, as the trainer evaluates them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapterd.cli.predictions.labelled_answers import (
    LabelledAnswers,
    ask_version,
    read_guesses,
    read_probabilities,
)
from adapterd.cli.predictions.labelled_file import (
    LabelledFile,
    describe_overlap,
    name_version,
)
from adapterd.errors import RowFailed
from adapterd.values import RowError, Version

if TYPE_CHECKING:
    from adapterd.client.client import Client
    from trainer.report.file_evaluation import AnsweredFile

_MOST_LABELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionAnswers:
    """The answers of a version to the rows of a file."""

    version: Version
    file: LabelledFile
    answers: LabelledAnswers

    @classmethod
    def ask(cls, client: Client, version: Version, file: LabelledFile) -> VersionAnswers:
        answers = ask_version(
            client,
            name_version(version),
            version.head,
            file.examples,
            progress=sys.stderr.isatty(),
        )
        return cls(version=version, file=file, answers=answers)

    @property
    def name(self) -> str:
        return name_version(self.version)

    @property
    def errors(self) -> dict[int, RowError]:
        return self.answers.list_errors()

    def without(self, rows: Collection[int]) -> AnsweredFile:
        """What is evaluated: all rows but these, by index."""
        from trainer.report.file_evaluation import AnsweredFile

        kept = [n for n in range(len(self.file.examples)) if n not in rows]
        examples = [self.file.examples[n] for n in kept]
        outputs = [self.answers.outputs[n] for n in kept]
        head, labels = self.version.head, self.version.labels
        return AnsweredFile(
            head=head,
            labels=labels,
            examples=examples,
            guesses=read_guesses(head, examples, outputs, labels),
            probabilities=read_probabilities(outputs, labels),
        )

    def list_notes(self) -> Iterator[str]:
        """Sentences about rows that were trained on, failed, or cannot be answered rightly."""
        yield from self.file.notes
        if overlap := describe_overlap(self.file, self.version):
            yield overlap
        if self.errors:
            yield _count_errors(self)
        if self.version.head == "classify":
            yield from _describe_unknown_labels(self)

    def raise_for_errors(self) -> None:
        """Raises RowFailed where a row has no answer."""
        if errors := self.errors:
            raise RowFailed(_count_errors(self), problem=next(iter(errors.values())).code)


def _count_errors(answers: VersionAnswers) -> str:
    index, first = next(iter(answers.errors.items()))
    count, total = len(answers.errors), len(answers.file.examples)
    line = answers.file.examples[index].line
    return (
        f"{answers.name} has no answer to {count:,} of {total:,} rows, which are left out; first: "
        f"line {line}: {first.message}"
    )


def _describe_unknown_labels(answers: VersionAnswers) -> Iterator[str]:
    counts: Counter[str] = Counter()
    for example in answers.file.examples:
        label: Any = example.label
        counts.update([label] if isinstance(label, str) else label)
    unknown = {name: n for name, n in counts.most_common() if name not in answers.version.labels}
    if unknown:
        named = ", ".join(f"{name} ({n:,})" for name, n in list(unknown.items())[:_MOST_LABELS])
        yield f"{answers.name} does not know these labels of the file, with rows: {named}."
