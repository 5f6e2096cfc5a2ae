"""Word boundaries of a text, independent of the tokenizer, and the tokens of each word. Knows no
tags and no labels.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import regex

from engine.text.tokenizer import Encoding

_SIGN = r"\p{P}\p{S}"
#: letters of scripts that put no space between words
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc\uff70\p{Line_Break=Complex_Context}"
#: \X is a letter with its marks, or an emoji of however many parts
_LETTER = rf"(?![\s\p{{Cc}}\p{{Cf}}{_SIGN}{_UNSPACED}])\X"
#: soft hyphens and direction marks end no word; a zero-width space does
_UNSEEN = r"(?:(?!\u200b)\p{Cf})*"
#: its many signs would otherwise be most of what a short text trains
_LINK = r"(?<![\p{L}\p{N}])(?i:https?://|www\.)[\p{L}\p{M}\p{N}.~:/?#@!$&*+=%_-]*[\p{L}\p{N}/]"
_WORD = regex.compile(
    rf"{_LINK}|(?=[{_SIGN}{_UNSPACED}])\X|{_LETTER}(?:{_UNSEEN}{_LETTER})*",
)
_TIGHT = rf"[{_UNSPACED}\u3001-\u303f\uff01-\uff65]"
_NO_SPACE = regex.compile(rf"{_TIGHT}\p{{M}}*\n(?!\p{{M}}){_TIGHT}")


def word_spans(text: str) -> list[tuple[int, int]]:
    """The first character of each word, and its last + 1.

    A link is a word; a punctuation mark or symbol is one, and so is a character of a script without
    spaces between words; between those, spaces part words.
    """
    return [word.span() for word in _WORD.finditer(text)]


def join_words(words: Sequence[str]) -> str:
    """Given words as raw text: with spaces between them where their script has spaces."""
    parts = list(words[:1])
    for left, right in pairwise(words):
        parts += ["" if _NO_SPACE.search(f"{left[-8:]}\n{right[:2]}") else " ", right]
    return "".join(parts)


def whole_words(encoding: Encoding, text: str) -> list[list[int]]:
    """The tokens of each of `word_spans`: none where none was read, and the same list for words
    that share a token.
    """
    spans = word_spans(text)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    words: list[list[int]] = [[] for _ in spans]
    for position, (start, end) in enumerate(encoding.offsets):
        first, after = bisect_right(ends, start), bisect_left(starts, end)
        if start < end and first < after:
            words[first].append(position)
            words[first + 1 : after] = [words[first]] * (after - first - 1)
    return words
