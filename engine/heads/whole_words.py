"""The words of raw text, as people count them: what a tag that one token carries stands for.

Knows no tags and no labels.
"""

from __future__ import annotations

import re

from engine.tokenizer import Encoding

#: letters of scripts that put no space between words, where only the tokenizer tells words apart
_UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_LETTERS = rf"[^\W{_UNSPACED}]+"
_CLITIC = r"['’](?:s|m|d|t|re|ve|ll)\b"
#: inner hyphens, dots and slashes belong to a word, and so does what begins a handle or a hashtag;
#: what is left of the signs is a word by the run ("...", ":-)")
_WORD = re.compile(
    rf"{_CLITIC} | [@\#]?{_LETTERS} (?: (?!{_CLITIC}) [^\w\s]+ {_LETTERS} )* | [^\w\s@\#]+",
    re.VERBOSE | re.I,
)


def whole_words(encoding: Encoding, text: str) -> list[list[int]]:
    """The tokens of each word, in order.

    A word is at least what the tokenizer takes for one; what it splits ("@name", "Jean-Luc", links)
    stays together, punctuation around a word does not.
    """
    inner = {i for word in _WORD.finditer(text) for i in range(word.start() + 1, word.end())}
    words: list[list[int]] = []
    last: int | None = None
    for position, word in enumerate(encoding.words):
        if word is None:
            continue
        if words and (word == last or encoding.offsets[position][0] in inner):
            words[-1].append(position)
        else:
            words.append([position])
        last = word
    return words
