"""What the trainer must know about a head: how to read and check its rows, which of its settings
depend on them, and its metrics. Knows no file, split or step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainer.metrics.metrics import Metrics
from trainer.readers.example import Example
from trainer.readers.fields import present, text
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings

Logits = NDArray[np.float32]
#: the engine's answer to a row: logits of a prediction head, tokens of a generation head
Answer = Logits | list[int]
AnswerT = TypeVar("AnswerT", contravariant=True)


class HeadData(Protocol[AnswerT]):
    """One head in training. `AnswerT` is the type of `Answer` that it reads."""

    name: str
    #: metrics for early stopping; the first one that the evaluation has is used
    metrics: tuple[str, ...]
    more_is_better: bool
    #: metrics that decide between epochs with an equal first metric
    tie_breaks: tuple[str, ...]
    #: names of columns that are read besides those that the job names
    usual_columns: tuple[str, ...]
    #: the name of the baseline, a model without the base; None: there is none
    baseline: str | None

    def example(self, record: Record, spec: JobSpec) -> Example:
        """Raises BadLine or MissingColumn."""
        ...

    def check_alike(self, examples: Sequence[Example]) -> None:
        """Raises BadDataset where rows have labels of different types."""
        ...

    def unify(
        self, parts: Mapping[str, Sequence[Example]]
    ) -> tuple[Mapping[str, Sequence[Example]], str | None]:
        """The rows of all files with labels in one notation, and a sentence if some changed."""
        ...

    def check(self, examples: Sequence[Example]) -> None:
        """Raises BadDataset where there is nothing to learn."""
        ...

    def labels(self, examples: Sequence[Example]) -> list[str]:
        """In an order that does not depend on the order of rows."""
        ...

    def strata(self, example: Example) -> tuple[str, ...]:
        """The classes of a row; each class must be on both sides of a split."""
        ...

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        """The head's settings that follow from the training rows and the training settings."""
        ...

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[AnswerT],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        """The prediction for each row, as `measure` takes it."""
        ...

    def loss(self, answer: AnswerT, row: EncodedRow) -> float | None:
        """The loss of one row, to break ties between epochs; None where ties are rare."""
        ...

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        """The metrics of the predictions against the true labels."""
        ...


class PlainData:
    """The implementation that most heads share."""

    more_is_better = True
    tie_breaks: tuple[str, ...] = ()
    usual_columns: tuple[str, ...] = ()

    def check_alike(self, examples: Sequence[Example]) -> None:
        del examples

    def unify(
        self, parts: Mapping[str, Sequence[Example]]
    ) -> tuple[Mapping[str, Sequence[Example]], str | None]:
        return parts, None

    def labels(self, examples: Sequence[Example]) -> list[str]:
        del examples
        return []

    def strata(self, example: Example) -> tuple[str, ...]:
        del example
        return ()

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        del settings
        return {"input": "pair" if train[0].pair is not None else "text"}

    def loss(self, answer: Any, row: EncodedRow) -> float | None:
        del answer, row
        return None


def texts(record: Record, spec: JobSpec) -> tuple[str, str | None]:
    """The one or two texts of a row."""
    first = text(record, spec.text_column)
    return first, text(record, spec.text_pair_column) if spec.text_pair_column else None


def pair(record: Record, spec: JobSpec) -> tuple[str, str]:
    """The two texts of a row, where a head needs both."""
    second = present(record, spec.text_pair_column or "text_pair", "pair")
    return text(record, spec.text_column), text(record, second)
