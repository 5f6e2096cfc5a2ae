"""The state of one row's text in its grammar, and the tokens that may follow.

Wraps llguidance's matcher, which raises nothing: a matcher that failed stays in an error state with
a message.
"""

from __future__ import annotations

import llguidance
import numpy as np
from numpy.typing import NDArray


class Constraint:
    """One row's place in its grammar. The end tokens are allowed only where the text may end."""

    def __init__(self, matcher: llguidance.LLMatcher, num_words: int) -> None:
        self._matcher = matcher
        self._words = np.zeros(-(-num_words // 32), dtype=np.int32)

    def allow(self, bits: NDArray[np.uint8]) -> None:
        """Write one bit per word, lowest first; words the tokenizer does not know stay as is."""
        words = self._words
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        known = words.view(np.uint8)[: len(bits)]
        bits[: len(known)] = known

    def accept(self, token: int) -> bool:
        """Go on by a token that was allowed. True: the text is complete, and nothing may follow."""
        self._matcher.consume_token(token)
        return self._matcher.is_stopped() and not self._matcher.is_error()

    @property
    def fault(self) -> str:
        """Why the text cannot go on; "" while it can."""
        if not self._matcher.is_error():
            return ""
        return f"the grammar cannot be followed any further: {first_line(self._matcher)}"


def first_line(matcher: llguidance.LLMatcher) -> str:
    """Of what the matcher says is wrong; below it, it shows parts of its own state."""
    return matcher.get_error().strip().partition("\n")[0][:300]
