"""A BIO tag per word, answered as entities with character offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadAdapter
from engine.heads.head_kind import IGNORED, Logits, checked_labels, softmax
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class TagHead:
    """Cross entropy at the first token of each word; the word's other tokens follow it."""

    name = "tag"
    per_token = True
    poolings: tuple[str, ...] = ("native",)

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        labels = checked_labels(head, 2)
        bad = [label for label in labels if label != "O" and label[:2] not in ("B-", "I-")]
        if bad or "O" not in labels:
            raise BadAdapter(f"tag labels must be O, B-… and I-…; these are {labels}")
        return {"kind": self.name, "labels": labels, "pooling": "native"}

    def num_outputs(self, head: dict[str, Any]) -> int:
        return len(head["labels"])

    def target(self, label: Any, encoding: Encoding, head: dict[str, Any]) -> list[int]:
        """`label` is one tag per given word of `Tokenizer.encode_words`.

        A given word that the tokenizer splits ("@name") is tagged at each of its parts, so that raw
        text, split the same way, meets what was trained.
        """
        indices = {name: i for i, name in enumerate(head["labels"])}
        unknown = sorted({tag for tag in label if tag not in indices})
        if unknown:
            raise BadAdapter(f"the tags {unknown} are not among {head['labels']}")
        return [
            IGNORED if tag is None else indices[tag if tag in indices else "O"]
            for tag in _tags_by_token(label, encoding)
        ]

    def loss(
        self, logits: Tensor, targets: list[Any], lengths: list[int], head: dict[str, Any]
    ) -> Tensor:
        import torch

        del lengths, head
        flat = torch.tensor([index for row in targets for index in row], device=logits.device)
        return torch.nn.functional.cross_entropy(logits, flat, ignore_index=IGNORED)

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        raw_scores: bool = False,
    ) -> dict[str, Any]:
        scores = logits.astype(np.float64) if raw_scores else softmax(logits)
        return {"entities": _entities(scores, head["labels"], encoding, text)}

    def word_tags(
        self, logits: Logits, head: dict[str, Any], encoding: Encoding, num_words: int
    ) -> list[str]:
        """One tag per given word of `encode_words`: its first token's; O where it was cut off."""
        tags = ["O"] * num_words
        best = logits.argmax(axis=-1)
        seen: set[int] = set()
        for position, source in enumerate(encoding.sources):
            if source is not None and source not in seen:
                seen.add(source)
                tags[source] = head["labels"][int(best[position])]
        return tags


def _tags_by_token(tags: list[str], encoding: Encoding) -> list[str | None]:
    """The tag each token is trained on; None inside a word and for special tokens."""
    result: list[str | None] = []
    last_word: int | None = None
    last_source: int | None = None
    for word, source in zip(encoding.words, encoding.sources, strict=True):
        if word is None or source is None or word == last_word:
            result.append(None)
            continue
        tag = tags[source]
        result.append("I-" + tag[2:] if source == last_source and tag != "O" else tag)
        last_word, last_source = word, source
    return result


def _entities(
    scores: NDArray[np.float64], labels: list[str], encoding: Encoding, text: str
) -> list[dict[str, Any]]:
    best = scores.argmax(axis=-1)
    spans: list[tuple[str, int, int, list[float]]] = []
    last_word: int | None = None
    inside = False
    for position, word in enumerate(encoding.words):
        if word is None:
            continue
        start, end = encoding.offsets[position]
        if word == last_word:  # a word's later tokens belong to whatever its first one is
            if inside:
                spans[-1] = (*spans[-1][:2], end, spans[-1][3])
            continue
        last_word, tag = word, labels[int(best[position])]
        score = float(scores[position, best[position]])
        if tag == "O":
            inside = False
        elif inside and tag.startswith("I-") and spans[-1][0] == tag[2:]:
            spans[-1] = (*spans[-1][:2], end, [*spans[-1][3], score])
        else:
            spans.append((tag[2:], start, end, [score]))
            inside = True
    return [
        {
            "label": label,
            "start": start,
            "end": end,
            "text": text[start:end],
            "score": sum(s) / len(s),
        }
        for label, start, end, s in spans
    ]
