"""Text to token ids, and token ids back to text.

Wraps the base's own fast tokenizer; knows nothing of tasks or torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import regex
import tokenizers

from engine.text.windows import Windows, cut

_MARKS = regex.compile(r"\p{M}+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One row's tokens. All lists have one entry per token, special tokens included."""

    ids: list[int]
    type_ids: list[int]
    #: characters of the text (or pair) each token covers, marks that it leaves out included and
    #: spaces around it not; (0, 0) for special tokens
    offsets: list[tuple[int, int]]
    #: 0 for tokens of the text, 1 for those of the pair, None for special tokens
    segments: list[int | None]
    truncated: bool
    #: token positions of each row, where one row cannot hold them all; else empty
    windows: list[list[int]] = field(default_factory=list)

    @property
    def rows(self) -> list[tuple[list[int], list[int]]]:
        """Ids and token types as the base reads them."""
        if not self.windows:
            return [(self.ids, self.type_ids)]
        return [
            ([self.ids[i] for i in window], [self.type_ids[i] for i in window])
            for window in self.windows
        ]

    @property
    def num_tokens(self) -> int:
        """Of all rows together."""
        return sum(map(len, self.windows)) if self.windows else len(self.ids)


def bare_encoding(ids: list[int]) -> Encoding:
    """Tokens that answer to no characters: a prompt's."""
    return Encoding(
        ids=ids,
        type_ids=[0] * len(ids),
        offsets=[(0, 0)] * len(ids),
        segments=[None] * len(ids),
        truncated=False,
    )


class Tokenizer:
    """The base's tokenizer, truncating at the base's own length. Any thread may call it."""

    def __init__(self, tokenizer_json: str, max_tokens: int) -> None:
        self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens
        self._covers_spaces = _covers_spaces(self._tokenizer)
        #: how many words the vocabulary has
        self.num_words = self._tokenizer.get_vocab_size()
        #: of its tokens; ids may have gaps
        self.largest_id = max(self._tokenizer.get_vocab().values(), default=-1)
        #: what stands for all that the vocabulary cannot write, where there is such a token
        self.unknown = _unknown(self._tokenizer, json.loads(tokenizer_json)["model"])
        #: the vocabulary writes bytes as letters
        self.is_byte_level = "ByteLevel" in str(json.loads(tokenizer_json)["decoder"])

    def encode(
        self,
        text: str,
        pair: str | None = None,
        max_tokens: int | None = None,
        windows: Windows | None = None,
    ) -> Encoding:
        """Too long a row is cut from its longer part; with `windows` it becomes several."""
        raw = self._tokenizer.encode(text, pair)
        return self._encoding(raw, (text, pair or ""), max_tokens, windows)

    def encode_batch(
        self,
        inputs: Sequence[str | tuple[str, str]],
        max_tokens: int | None = None,
        windows: Windows | None = None,
    ) -> list[Encoding]:
        encodings = self._tokenizer.encode_batch(list(inputs))
        texts = [(item, "") if isinstance(item, str) else item for item in inputs]
        return [
            self._encoding(e, t, max_tokens, windows) for e, t in zip(encodings, texts, strict=True)
        ]

    def ids(self, text: str, *, special: bool) -> list[int]:
        """The whole text's tokens, however many; `special` adds those the tokenizer puts around."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, special ones left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def piece(self, token: int) -> str:
        """A token as the vocabulary writes it; nothing where there is no such token."""
        return self._tokenizer.id_to_token(token) or ""

    def knows(self, token: int) -> bool:
        return self._tokenizer.id_to_token(token) is not None

    def _encoding(
        self,
        raw: tokenizers.Encoding,
        texts: tuple[str, str],
        max_tokens: int | None,
        windows: Windows | None,
    ) -> Encoding:
        window_tokens = windows.tokens if windows and windows.tokens else self.max_tokens
        limit = min(max_tokens or self.max_tokens, self.max_tokens, window_tokens)
        segments = _segments(raw)
        rows = None
        if windows is not None and len(raw.ids) > limit:
            rows = cut(segments, limit, windows.stride)
        ids, types = raw.ids, raw.type_ids
        offsets = _trim_offsets(raw, texts) if self._covers_spaces else raw.offsets
        if any(map(_MARKS.search, texts)):
            offsets = _with_marks(offsets, segments, texts)
        truncated = len(ids) > limit and rows is None
        if truncated:
            keep = _find_kept_positions(raw, limit)
            ids, types = [ids[i] for i in keep], [types[i] for i in keep]
            offsets, segments = [offsets[i] for i in keep], [segments[i] for i in keep]
        return Encoding(
            ids=ids,
            type_ids=types,
            offsets=offsets,
            segments=segments,
            truncated=truncated,
            windows=rows or [],
        )


def _segments(raw: tokenizers.Encoding) -> list[int | None]:
    """As the tokenizer has them, but None for special tokens, which it may count to a text."""
    return [
        None if special else segment
        for segment, special in zip(raw.sequence_ids, raw.special_tokens_mask, strict=True)
    ]


def _unknown(tokenizer: tokenizers.Tokenizer, model: dict[str, Any]) -> int | None:
    """Word pieces name theirs, SentencePiece numbers it, bytes need none."""
    if (number := model.get("unk_id")) is not None:
        return int(number)
    token = model.get("unk_token")
    return None if token is None else tokenizer.token_to_id(token)


def _covers_spaces(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether tokens count the space before a word as their own, as those of SentencePiece do."""
    sample = "a a"
    return any(" " in sample[start:end] for start, end in tokenizer.encode(sample).offsets)


def _trim_offsets(raw: tokenizers.Encoding, texts: tuple[str, str]) -> list[tuple[int, int]]:
    """Offsets without the spaces around; nothing is left of a token that is nothing but space."""
    offsets = list(raw.offsets)
    for i, segment in enumerate(raw.sequence_ids):
        start, end = offsets[i]
        piece = texts[segment][start:end] if segment is not None else ""
        inner = piece.strip()
        if piece and not inner:
            offsets[i] = (end, end)
        elif len(inner) < len(piece):
            start += len(piece) - len(piece.lstrip())
            offsets[i] = (start, start + len(inner))
    return offsets


def _with_marks(
    offsets: Sequence[tuple[int, int]], segments: Sequence[int | None], texts: tuple[str, str]
) -> list[tuple[int, int]]:
    """Offsets that go on over the combining marks behind a token where no other token has them:
    normalising may leave marks out.
    """
    extended = list(offsets)
    following: dict[int, int] = {}
    for i, segment in reversed(list(enumerate(segments))):
        start, end = offsets[i]
        if segment is None or start == end:
            continue
        limit = following.get(segment, len(texts[segment]))
        if limit > end and (marks := _MARKS.match(texts[segment], end, limit)):
            extended[i] = (start, marks.end())
        following[segment] = start
    return extended


def _find_kept_positions(raw: tokenizers.Encoding, limit: int) -> list[int]:
    """Positions to keep: drop the last content tokens of the longer segment until the row fits."""
    special, segments = raw.special_tokens_mask, raw.sequence_ids
    parts = [[i for i, s in enumerate(segments) if s == part] for part in (0, 1)]
    excess = len(raw.ids) - limit
    while excess > 0 and any(parts):
        max(parts, key=len).pop()
        excess -= 1
    content = {i for part in parts for i in part}
    return [i for i in range(len(raw.ids)) if special[i] or i in content]
