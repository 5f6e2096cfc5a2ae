"""Which tokens a row has seen and how often it wrote them: what penalties go by.

Sparse and growing with the text, so that a step costs nothing per word of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class TokenCounts:
    """Distinct tokens of prompt and text, with how often the text has each."""

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        distinct = list(dict.fromkeys(prompt_ids))
        self._places = {token: place for place, token in enumerate(distinct)}
        self._ids = np.array(distinct, dtype=np.int64)
        self._counts = np.zeros(len(distinct), dtype=np.float32)

    @property
    def ids(self) -> NDArray[np.int64]:
        return self._ids[: len(self._places)]

    @property
    def counts(self) -> NDArray[np.float32]:
        return self._counts[: len(self._places)]

    def add(self, token: int) -> None:
        """The text has one more of it."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._ids):
            room = max(16, place)
            self._ids = np.append(self._ids, np.zeros(room, dtype=np.int64))
            self._counts = np.append(self._counts, np.zeros(room, dtype=np.float32))
        self._ids[place] = token
        self._counts[place] += 1
