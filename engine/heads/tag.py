"""A tag per word, answered as entities with character offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
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
from engine.port import LossOptions
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class TagHead(TokenHead):
    """Cross entropy at the first token of each word; the word's other tokens follow it.

    A row's target is two lists, one entry per token: tags, and what each counts.
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
        """`label` is one tag per given word of `Tokenizer.encode_words`.

        A given word that the tokenizer splits ("@name") is tagged at each of its parts, so that raw
        text, split the same way, meets what was trained. All its parts together count as one word:
        a link's dozen would else drown what there is to find.
        """
        indices = {name: i for i, name in enumerate(head["labels"])}
        unknown = sorted({tag for tag in label if tag not in indices})
        if unknown:
            raise BadAdapter(f"the tags {unknown} are not among {head['labels']}")
        encoding = encodings[0]
        target, shares = [IGNORED] * len(encoding.ids), [0.0] * len(encoding.ids)
        for source, parts in _parts_by_source(encoding):
            for number, position in enumerate(parts):
                tag = tag_scheme.part(label[source], number == 0, number == len(parts) - 1)
                if tag not in indices:
                    tag = tag_scheme.part(label[source], number == 0, is_last=False)
                target[position] = indices.get(tag, indices["O"])
                shares[position] = 1 / len(parts)
        windows = encoding.windows or [list(range(len(target)))]
        return [[[target[i] for i in row], [shares[i] for i in row]] for row in windows]

    def size(self, target: Any) -> float:
        """In words."""
        return float(sum(target[1]))

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
        tags = torch.tensor([tag for row, _ in targets for tag in row], device=logits.device)
        shares = torch.tensor(
            [share for _, row in targets for share in row], dtype=logits.dtype, device=logits.device
        )
        weights = options.class_weights
        losses = torch.nn.functional.cross_entropy(
            logits,
            tags,
            torch.tensor(weights, device=logits.device) if weights else None,
            ignore_index=IGNORED,
            reduction="none",
            label_smoothing=options.label_smoothing,
        )
        return (losses * shares).sum() / shares.sum().clamp(min=1e-6)

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
        """One tag per given word of `encode_words`, by its parts' first tokens; O if cut off."""
        tags = ["O"] * num_words
        best = logits.argmax(axis=-1)
        for source, parts in _parts_by_source(encoding):
            first, last = (
                head["labels"][int(best[position])] for position in (parts[0], parts[-1])
            )
            tags[source] = tag_scheme.whole(first, last)
        return tags


def _first_tokens(encoding: Encoding) -> Iterator[int]:
    """The first token of each word of the tokenizer's own splitting."""
    last_word: int | None = None
    for position, word in enumerate(encoding.words):
        if word is not None and word != last_word:
            yield position
            last_word = word


def _parts_by_source(encoding: Encoding) -> Iterator[tuple[int, list[int]]]:
    """Each given word, and the first token of each of the words the tokenizer makes of it."""
    firsts = [i for i in _first_tokens(encoding) if encoding.sources[i] is not None]
    for source, parts in groupby(firsts, key=encoding.sources.__getitem__):
        assert source is not None
        yield source, list(parts)


def _entities(
    scores: NDArray[np.float64], labels: list[str], encoding: Encoding, text: str
) -> list[dict[str, Any]]:
    """Entities by words: a word's later tokens belong to whatever its first one is."""
    firsts = list(_first_tokens(encoding))
    tags = [labels[int(scores[i].argmax())] for i in firsts]
    ends = _word_ends(encoding)
    found = []
    for label, first, last in tag_scheme.spans(tags):
        start, end = encoding.offsets[firsts[first]][0], ends[firsts[last - 1]]
        words = firsts[first:last]
        found.append({
            "label": label,
            "start": start,
            "end": end,
            "text": text[start:end],
            "score": float(np.mean([scores[i].max() for i in words])),
        })  # fmt: skip
    return found


def _word_ends(encoding: Encoding) -> dict[int, int]:
    """First token of a word to the character where its last token ends."""
    ends: dict[int, int] = {}
    firsts = set(_first_tokens(encoding))
    current = -1
    for position, word in enumerate(encoding.words):
        current = position if position in firsts else current
        if word is not None:
            ends[current] = encoding.offsets[position][1]
    return ends
