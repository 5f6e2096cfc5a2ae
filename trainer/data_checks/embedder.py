"""Similarity of texts by the bare base: cosines of mean hidden states, computed in slot 0 by the
steps that serve. Caches its vectors; knows no rows.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.port import Array, EnginePort, Predict, Predicted, Row
from engine.text.tokenizer import Tokenizer
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import call, error_of

Vector = NDArray[np.float32]

_MAX_TOKENS = 128
#: vectors of some thousand texts are a few megabytes
_MAX_KEPT = 8192
_BATCH_TOKENS = 2048


class Embedder:
    """Vectors of texts by tenant, with the most recently used in a cache. For one thread at a
    time.
    """

    def __init__(self, port: EnginePort, tokenizer: Tokenizer) -> None:
        self._port = port
        self._tokenizer = tokenizer
        self._kept: OrderedDict[bytes, Vector] = OrderedDict()

    def likeness(
        self, tenant: str, pairs: Sequence[tuple[str, str]], waiting: Callable[[], object]
    ) -> list[float]:
        """A cosine per pair. `waiting` is called between steps and may raise to end it."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        vectors = dict(zip(texts, self._vectors(tenant, texts, waiting), strict=True))
        if not vectors:
            return []
        # hidden states share a direction that does not depend on the text; without it texts differ
        middle = np.mean(list(vectors.values()), axis=0) if len(vectors) >= 16 else 0.0
        return [_cosine(vectors[left] - middle, vectors[right] - middle) for left, right in pairs]

    def _vectors(
        self, tenant: str, texts: Sequence[str], waiting: Callable[[], object]
    ) -> list[Vector]:
        keys = [hashlib.sha256(f"{tenant}\0{text}".encode()).digest() for text in texts]
        known = {key: self._kept[key] for key in keys if key in self._kept}
        new = [index for index, key in enumerate(keys) if key not in known]
        ids = [self._ids(texts[index]) for index in new]
        for batch in prediction_batches([len(each) for each in ids], max_tokens=_BATCH_TOKENS):
            waiting()
            rows = [Row.of(ids=ids[index], slot=0) for index in batch]
            step = Predict(rows=rows, background=True)
            answer = call(self._port, step, Predicted)
            for index, hidden in zip(batch, answer.rows, strict=True):
                if not isinstance(hidden, Array):
                    raise error_of(hidden)
                known[keys[new[index]]] = hidden.numpy().mean(axis=0, dtype=np.float32)
        self._keep(known)
        return [known[key] for key in keys]

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, max_tokens=_MAX_TOKENS).ids

    def _keep(self, vectors: dict[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            self._kept[key] = vector
            self._kept.move_to_end(key)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)


def _cosine(left: Vector, right: Vector) -> float:
    length = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / length if length else 1.0
