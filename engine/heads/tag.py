"""A tag per word, answered as entities with character offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadAdapter
from engine.heads import tag_scheme
from engine.heads.head_kind import (
    IGNORED,
    Answering,
    Logits,
    TokenHead,
    checked_input,
    checked_labels,
    checked_pooling,
    checked_windows,
    softmax,
)
from engine.heads.whole_words import whole_words
from engine.port import LossOptions
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class TagHead(TokenHead):
    """Cross entropy at the first token of each given word; the word's other tokens follow it,
    however many words the tokenizer makes of it.
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
        """`label` is one tag per given word of `Tokenizer.encode_words`."""
        indices = {name: i for i, name in enumerate(head["labels"])}
        unknown = sorted({tag for tag in label if tag not in indices})
        if unknown:
            raise BadAdapter(f"the tags {unknown} are not among {head['labels']}")
        encoding = encodings[0]
        target = [IGNORED] * len(encoding.ids)
        for word, position in _first_tokens(encoding):
            target[position] = indices[label[word]]
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
        wanted: Answering,
    ) -> dict[str, Any]:
        scores = logits.astype(np.float64) if wanted.raw_scores else softmax(logits)
        return {"entities": _entities(scores, head["labels"], encoding, text)}

    def word_tags(
        self, logits: Logits, head: dict[str, Any], encoding: Encoding, num_words: int
    ) -> list[str]:
        """One tag per given word of `encode_words`; O if cut off."""
        tags = ["O"] * num_words
        best = logits.argmax(axis=-1)
        for word, position in _first_tokens(encoding):
            tags[word] = head["labels"][int(best[position])]
        return tags


def _first_tokens(encoding: Encoding) -> Iterator[tuple[int, int]]:
    """Each given word that was read, and the first of its tokens."""
    before: int | None = None
    for position, word in enumerate(encoding.sources):
        if word is not None and word != before:
            yield word, position
            before = word


def _entities(
    scores: NDArray[np.float64], labels: list[str], encoding: Encoding, text: str
) -> list[dict[str, Any]]:
    """Entities by words: a word's later tokens belong to whatever its first one is."""
    words = whole_words(encoding, text)
    tags = [labels[int(scores[word[0]].argmax())] for word in words]
    found = []
    for label, first, last in tag_scheme.spans(tags):
        start = encoding.offsets[words[first][0]][0]
        end = encoding.offsets[words[last - 1][-1]][1]
        found.append({
            "label": label,
            "start": start,
            "end": end,
            "text": text[start:end],
            "score": float(np.mean([scores[word[0]].max() for word in words[first:last]])),
        })  # fmt: skip
    return found
