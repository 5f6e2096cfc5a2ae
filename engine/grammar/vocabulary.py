"""A base's vocabulary in llguidance's terms: the bytes of each token.

llguidance understands byte-level tokenizers and those with byte fallback; the tokens of T5 and
similar tokenizers, whose decoders it does not know, are converted to bytes here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile

import llguidance
import tokenizers
from tokenizers import pre_tokenizers

from engine.errors import BadRow

_SPACE = "▁"


def read_vocabulary(tokenizer_json: str, end_ids: Sequence[int]) -> llguidance.LLTokenizer:
    """`end_ids` end a text; none: the one that the tokenizer's own names suggest. Raises BadRow."""
    ends = list(end_ids) or None
    try:
        tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        if isinstance(tokenizer.decoder, tokenizers.decoders.Metaspace):
            pieces = llguidance.TokenizerWrapper(_Pieces(tokenizer, end_ids))
            return llguidance.LLTokenizer(pieces, eos_token=ends)
        return llguidance.LLTokenizer(tokenizer_json, eos_token=ends)
    # tokenizers raises bare exceptions of its own
    except Exception as error:
        raise BadRow(f"the base's tokenizer cannot be held to a grammar: {error}") from error


class _Pieces:
    """What llguidance asks of a tokenizer that it cannot read itself."""

    bos_token_id = None

    def __init__(self, tokenizer: tokenizers.Tokenizer, end_ids: Sequence[int]) -> None:
        # A text goes on: its next words have a space before them only where they say so.
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        self._tokenizer = tokenizer
        words = {token: word for word, token in tokenizer.get_vocab().items()}
        added = tokenizer.get_added_tokens_decoder().items()
        self.special_token_ids = sorted({t for t, word in added if word.special} | set(end_ids))
        self.eos_token_id = [*end_ids, *self.special_token_ids, 0][0]
        unknown = json.loads(tokenizer.to_str())["model"].get("unk_id")
        mute = {*self.special_token_ids, unknown}
        self.tokens = [
            b"" if token in mute else words.get(token, "").replace(_SPACE, " ").encode()
            for token in range(max(words) + 1)
        ]

    def __call__(self, text: str) -> list[int]:
        """Up to the first letter that the vocabulary does not have."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return list(takewhile(lambda token: self.tokens[token], ids))
