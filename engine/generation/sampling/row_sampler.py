"""What one row's next token depends on besides its logits: its sampling parameters and the tokens
generated so far.

Knows no tensors; `sample_tokens` takes many of these at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.grammar import Grammars
from engine.port import Sampling
from engine.port.sampling_limits import check_sampling


class TokenCounts:
    """The distinct tokens of prompt and text, with how often the text has each. Penalties depend on
    them. Sparse, so that a step costs nothing per token of the vocabulary.
    """

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
        """Count one more of this token in the text."""
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._ids):
            room = max(16, place)
            self._ids = np.append(self._ids, np.zeros(room, dtype=np.int64))
            self._counts = np.append(self._counts, np.zeros(room, dtype=np.float32))
        self._ids[place] = token
        self._counts[place] += 1


class RowSampler:
    """One row's state, made when the row begins. It outlives a row's memory: what it noted stays
    true when the row is read again.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt_ids: Sequence[int],
        end_ids: Sequence[int],
        grammars: Grammars | None,
    ) -> None:
        """Raises BadRow: a value out of its bounds, or a grammar that does not compile."""
        check_sampling(sampling)
        self.sampling = sampling
        assert grammars is not None or not sampling.grammar, "a grammar needs its compiler"
        self.constraint = (
            grammars.begin(sampling.grammar) if grammars and sampling.grammar else None
        )
        self.bias_ids = np.fromiter(sampling.logit_bias.keys(), dtype=np.int64)
        self.biases = np.fromiter(sampling.logit_bias.values(), dtype=np.float32)
        #: of all biased words; -1 without any
        self.highest = max(sampling.logit_bias, default=-1)
        self.token_counts = _make_token_counts(sampling, prompt_ids)
        # A text that matches a grammar is over where the match is; nothing could follow.
        ends = () if sampling.ignore_eos and self.constraint is None else end_ids
        self._ends = frozenset((*ends, *sampling.stop_ids))
        #: its logits are read as they are
        self.bare = not len(self.bias_ids) and self.token_counts is None and self.constraint is None
        #: the likeliest token is all it wants to know
        self.plain = self.bare and sampling.temperature == 0 and sampling.logprobs < 0

    def ends(self, token: int) -> bool:
        """Whether the text is over with this token, which is then not part of it."""
        return token in self._ends

    def accept(self, token: int) -> bool:
        """Note a written token. True: the text is complete with it, by its grammar."""
        if self.token_counts is not None:
            self.token_counts.add(token)
        return self.constraint is not None and self.constraint.accept(token)


def _make_token_counts(sampling: Sampling, prompt_ids: Sequence[int]) -> TokenCounts | None:
    if sampling.repetition_penalty != 1:
        return TokenCounts(prompt_ids)
    if sampling.presence_penalty != 0 or sampling.frequency_penalty != 0:
        return TokenCounts(())
    return None
