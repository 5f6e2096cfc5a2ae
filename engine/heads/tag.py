"""Token classification: a tag per word, returned as entities with character offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadAdapter
from engine.heads import tag_scheme
from engine.heads.head import (
    AnswerOptions,
    Logits,
    TokenHead,
    checked_input,
    checked_labels,
    checked_pooling,
    checked_windows,
    softmax,
)
from engine.heads.whole_words import whole_words, word_spans
from engine.port import IGNORED, LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class TagHead(TokenHead):
    """Cross entropy at the first token of each word of the text; the word's other tokens follow
    it.
    """

    name = "tag"
    inputs: tuple[str, ...] = ("text",)
    settings: tuple[str, ...] = ("labels", "pooling", "input", "window", "stride")
    native_as = "tag"
    peft_task = "TOKEN_CLS"

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        labels = checked_labels(head, 2)
        if problem := tag_scheme.problem(labels):
            raise BadAdapter(problem)
        return {
            "kind": self.name,
            "labels": labels,
            "pooling": checked_pooling(head, self.poolings),
            "input": checked_input(head, self.inputs),
            **checked_windows(head),
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        return len(head["labels"])

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        """`label` is the text and one tag for each of its `word_spans`."""
        text, tags = label
        indices = {name: i for i, name in enumerate(head["labels"])}
        unknown = sorted({tag for tag in tags if tag not in indices})
        if unknown:
            raise BadAdapter(f"the tags {unknown} are not among {head['labels']}")
        encoding = encodings[0]
        target = [IGNORED] * len(encoding.ids)
        for position, word, _ in _read(encoding, text):
            target[position] = indices[tags[word]]
        return [[target[i] for i in window] for window in encoding.windows] or [target]

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del lengths, head
        flat = torch.tensor([index for row in targets for index in row], device=logits.device)
        weights = options.class_weights
        return torch.nn.functional.cross_entropy(
            logits,
            flat,
            torch.tensor(weights, device=logits.device) if weights else None,
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=options.label_smoothing,
        ) / (flat != IGNORED).sum().clamp(min=1)

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        scores = logits.astype(np.float64) if options.raw_scores else softmax(logits)
        words, best = word_spans(text), np.full(len(text), np.nan)
        for position, word, _ in _read(encoding, text):
            best[word] = scores[position].max()
        tags = self.word_tags(logits, head, encoding, text)
        return {
            "entities": [
                {
                    "label": label,
                    "start": (start := words[first][0]),
                    "end": (end := words[after - 1][1]),
                    "text": text[start:end],
                    "score": float(np.nanmean(best[first:after])),
                }
                for label, first, after in tag_scheme.spans(tags)
            ]
        }

    def word_tags(
        self, logits: Logits, head: dict[str, Any], encoding: Encoding, text: str
    ) -> list[str]:
        """One tag for each of the text's `word_spans`; O where none of its tokens was read."""
        tags = ["O"] * len(word_spans(text))
        best = logits.argmax(axis=-1)
        for position, word, num in _read(encoding, text):
            tags[word : word + num] = tag_scheme.spread(head["labels"][int(best[position])], num)
        return tags


def _read(encoding: Encoding, text: str) -> Iterator[tuple[int, int, int]]:
    """The tokens that words are tagged at: (token, first word, number of words that share it)."""
    words = whole_words(encoding, text)
    for token, together in groupby(range(len(words)), lambda word: words[word][:1]):
        if token:
            first, *others = together
            yield token[0], first, 1 + len(others)
