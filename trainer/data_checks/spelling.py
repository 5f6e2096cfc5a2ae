"""When two names are one, written in two ways, and in what they differ. Pure.

Letters, digits, combining marks and symbols count: `C` and `C++`, `-1` and `1`, `1.0` and `10` are
different names. Numbers are compared by their value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal

#: what tables write, in any case, where a value is missing
MISSING_WORDS = frozenset({"nan", "none", "null", "n/a", "na", "#n/a"})
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?")
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
#: three digits after a comma are thousands as often as not
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+")
#: choose between two forms of one sign, as emoji have them
_SELECTORS = "\ufe0e\ufe0f"
#: the sign of a number, or the end of a grade or a name such as A- and C#
_MEANT = re.compile(r"(?<![^\W_])-(?=\d)|(?<=\w)[-#*]$")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[^\w\s](?=\d)")


def spelling_key(name: str) -> str:
    """The same for names that are one but for the way they are written; empty for one of
    punctuation alone.
    """
    value = number_value(name)
    if value is not None:
        return f"number {value}"
    plain = _visible(unicodedata.normalize("NFKC", name)).translate(_MINUS).strip()
    plain = unicodedata.normalize("NFKC", plain.casefold())
    return _lettered(_BETWEEN_DIGITS.sub("\ue000", plain)).replace("\ue000", ".")


def number_value(name: str) -> Decimal | None:
    """Of a name that is a number as a whole."""
    text = unicodedata.normalize("NFKC", name).strip().translate(_MINUS)
    if len(text) > 30 or not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    plain = text.replace(",", "" if _THOUSANDS.fullmatch(text) else ".")
    # adding zero makes -0 and 0 one; what is normalized has no zeros at its end
    return (Decimal(plain) + 0).normalize() + 0


def difference(names: Sequence[str]) -> str:
    """In what names of one key differ, as a sentence ends."""
    if all(number_value(name) is not None for name in names):
        return "are the same number, written in different ways"
    found = [word for word in _STEPS if _decides(word, names)] or [_FORMS]
    listed = f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else found[0]
    return f"differ in {listed} only"


def _decides(word: str, names: Sequence[str]) -> bool:
    """The names still differ when all else is made equal."""
    # making the forms of letters equal composes them too, and makes one of all spaces
    others = [step for step in _STEPS if step != word and (word, step) not in _IMPLIED]
    equal = [_equalized(name, others) for name in names]
    return len(set(equal)) > len({_STEPS[word](name) for name in equal})


def _equalized(name: str, steps: Sequence[str]) -> str:
    for each in steps:
        name = _STEPS[each](name)
    return name


def _visible(name: str) -> str:
    return "".join(
        letter
        for letter in name
        if letter not in _SELECTORS and (letter.isspace() or unicodedata.category(letter)[0] != "C")
    )


def _lettered(name: str) -> str:
    """Letters, marks, digits and symbols, and the punctuation that means something."""
    meant = {found.start() for found in _MEANT.finditer(name)}
    return "".join(
        letter
        for at, letter in enumerate(name)
        if at in meant or letter == "\ue000" or unicodedata.category(letter)[0] in "LMNS"
    )


def _unpunctuated(name: str) -> str:
    return "".join(
        letter for letter in name if letter.isspace() or unicodedata.category(letter)[0] != "P"
    )


_COMPOSED, _SPACES, _FORMS = "composed and decomposed letters", "spaces", "the forms of letters"
_IMPLIED = ((_COMPOSED, _FORMS), (_SPACES, _FORMS))
_STEPS: dict[str, Callable[[str], str]] = {
    _COMPOSED: lambda name: unicodedata.normalize("NFC", name),
    "invisible characters": _visible,
    _SPACES: lambda name: "".join(name.split()),
    _FORMS: lambda name: unicodedata.normalize("NFKC", name),
    "case": str.casefold,
    "punctuation": _unpunctuated,
}
