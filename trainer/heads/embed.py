"""Pairs of texts that belong together, or that have a similarity score. Knows no split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import BadLine, OneClass
from trainer.heads.head_data import Logits, PlainData, pair
from trainer.metrics.metrics import Metrics, correlations, retrieval
from trainer.readers.example import Example
from trainer.readers.fields import field, number
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings

#: the partner of a text is ranked among this many texts, however large the file
MAX_CANDIDATES = 1000


class EmbedData(PlainData):
    """Trains on similarity scores if the label column has them, else on the pairs alone."""

    name = "embed"
    metrics: tuple[str, ...] = ("accuracy", "spearman")
    usual_columns: tuple[str, ...] = ("text_pair", "pair")
    baseline: str | None = "tfidf+cosine"

    def example(self, record: Record, spec: JobSpec) -> Example:
        first, second = pair(record, spec)
        label = None
        if record.fields.get(spec.label_column) is not None:
            where = f"{record.place}: {spec.label_column}"
            label = number(field(record, spec.label_column), where, record.line)
            if not -1 <= label <= 1:
                raise BadLine(
                    f"{where} is {label:g}; a similarity is between -1 and 1.", line=record.line
                )
        return Example(line=record.line, text=first, pair=second, label=label)

    def check_alike(self, examples: Sequence[Example]) -> None:
        scored = examples[0].label is not None
        for example in examples:
            if (example.label is not None) != scored:
                has, other = ("no", "one") if scored else ("a", "none")
                raise BadLine(
                    f"Line {example.line} has {has} score and line {examples[0].line} has {other}; "
                    "either every row has a score, or no row has one.",
                    line=example.line,
                )

    def check(self, examples: Sequence[Example]) -> None:
        if examples[0].label is not None and len({example.label for example in examples}) < 2:
            raise OneClass(
                f"All pairs have the score {examples[0].label!r}; there is nothing to learn."
            )

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        del train, settings
        return {"input": "text"}

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        """The cosine of each scored pair; for others, the rank of the partner among all texts."""
        del head, prompter
        if not rows:
            return []
        return compare_embeddings(answers, is_scored=rows[0].example.label is not None)

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        if truth and truth[0] is not None:
            return correlations(truth, guesses)
        return retrieval(guesses)


def compare_embeddings(pairs: Sequence[Any], *, is_scored: bool) -> list[Any]:
    """The cosine of each pair of embeddings, or the rank of the partner among all."""
    both = np.array(pairs, np.float64)
    both /= np.maximum(np.linalg.norm(both, axis=-1, keepdims=True), 1e-12)
    left, right = both[:, 0], both[:, 1]
    if is_scored:
        return [float(cosine) for cosine in (left * right).sum(-1)]
    return partner_ranks(left, right)


def partner_ranks(left: Any, right: Any) -> list[int]:
    """The rank of row i of `right` by similarity to row i of `left`, counted from 1."""
    ranks: list[int] = []
    for start in range(0, left.shape[0], MAX_CANDIDATES):
        stop = start + MAX_CANDIDATES
        products = left[start:stop] @ right[start:stop].T
        # matrices of word counts are sparse; the product of a block is dense
        similar = np.asarray(products.toarray() if hasattr(products, "toarray") else products)
        own = similar.diagonal()[:, None]
        ranks += [int(rank) for rank in 1 + (similar > own).sum(1)]
    return ranks
