"""Whether two names are variants of one name, and in what they differ. Pure.

Letters, digits, combining marks and symbols count: `C` and `C++`, `-1` and `1`, `1.0` and `10` are
different names. Numbers are compared by their value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal

#: words, in any case, that tables contain where a value is missing
MISSING_WORDS = frozenset({"nan", "none", "null", "n/a", "na", "#n/a"})
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?")
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
#: three digits after a comma are usually thousands
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+")
#: characters that choose between two forms of a symbol, as of emoji
_SELECTORS = "\ufe0e\ufe0f"
#: the sign of a number, or the end of a grade or a name such as A- and C#
_MEANT = re.compile(r"(?<![^\W_])-(?=\d)|(?<=\w)[-#*]$")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[^\w\s](?=\d)")


def spelling_key(name: str) -> str:
    """Equal for names that are variants of one name; empty for a name of punctuation alone."""
    value = number_value(name)
    if value is not None:
        return f"number {value}"
    plain = _drop_invisible(unicodedata.normalize("NFKC", name)).translate(_MINUS).strip()
    plain = unicodedata.normalize("NFKC", plain.casefold())
    return _drop_insignificant(_BETWEEN_DIGITS.sub("\ue000", plain)).replace("\ue000", ".")


def number_value(name: str) -> Decimal | None:
    """The value of a name that is a number; None for others."""
    text = unicodedata.normalize("NFKC", name).strip().translate(_MINUS)
    if len(text) > 30 or not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    plain = text.replace(",", "" if _THOUSANDS.fullmatch(text) else ".")
    # adding zero makes -0 and 0 equal; normalizing removes zeros at the end
    return (Decimal(plain) + 0).normalize() + 0


def difference(names: Sequence[str]) -> str:
    """How names of one key differ, as the end of a sentence about them."""
    if all(number_value(name) is not None for name in names):
        return "are the same number, written in different ways"
    differences = [word for word in _STEPS if _decides(word, names)] or [_FORMS]
    listed = (
        f"{', '.join(differences[:-1])} and {differences[-1]}"
        if len(differences) > 1
        else differences[0]
    )
    return f"differ in {listed} only"


def _decides(word: str, names: Sequence[str]) -> bool:
    """Whether the names still differ when all other differences are removed."""
    # normalizing the forms of letters also composes them and makes all spaces equal
    others = [step for step in _STEPS if step != word and (word, step) not in _IMPLIED]
    equal = [_apply_steps(name, others) for name in names]
    return len(set(equal)) > len({_STEPS[word](name) for name in equal})


def _apply_steps(name: str, steps: Sequence[str]) -> str:
    for step in steps:
        name = _STEPS[step](name)
    return name


def _drop_invisible(name: str) -> str:
    return "".join(
        letter
        for letter in name
        if letter not in _SELECTORS and (letter.isspace() or unicodedata.category(letter)[0] != "C")
    )


def _drop_insignificant(name: str) -> str:
    """Keeps letters, marks, digits and symbols, and punctuation that carries meaning."""
    meant = {match.start() for match in _MEANT.finditer(name)}
    return "".join(
        letter
        for at, letter in enumerate(name)
        if at in meant or letter == "\ue000" or unicodedata.category(letter)[0] in "LMNS"
    )


def _drop_punctuation(name: str) -> str:
    return "".join(
        letter for letter in name if letter.isspace() or unicodedata.category(letter)[0] != "P"
    )


_COMPOSED, _SPACES, _FORMS = "composed and decomposed letters", "spaces", "the forms of letters"
_IMPLIED = ((_COMPOSED, _FORMS), (_SPACES, _FORMS))
_STEPS: dict[str, Callable[[str], str]] = {
    _COMPOSED: lambda name: unicodedata.normalize("NFC", name),
    "invisible characters": _drop_invisible,
    _SPACES: lambda name: "".join(name.split()),
    _FORMS: lambda name: unicodedata.normalize("NFKC", name),
    "case": str.casefold,
    "punctuation": _drop_punctuation,
}
