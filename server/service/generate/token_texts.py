"""Single tokens as people and programs read them: their text and their bytes.

Knows the vocabulary's two usual ways to write bytes, and no text.
"""

from __future__ import annotations

import re

from engine.text.tokenizer import Tokenizer
from server.service.completion import TopLogprob

#: how byte-fallback vocabularies name the tokens of single bytes
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"


class TokenTexts:
    """Of one base. Any thread may call it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = _byte_level() if tokenizer.is_byte_level else None

    def alternative(self, token: int, logprob: float) -> TopLogprob:
        content = self._bytes_of(token)
        return TopLogprob(text=_readable(content), bytes=content, logprob=logprob)

    def _bytes_of(self, token: int) -> bytes:
        piece = self._tokenizer.piece(token)
        if self._bytes is not None and all(letter in self._bytes for letter in piece):
            return bytes(self._bytes[letter] for letter in piece)
        if found := _BYTE.fullmatch(piece):
            return bytes.fromhex(found[1])
        return piece.replace(_SPACE, " ").encode()


def _readable(content: bytes) -> str:
    """The text, or the bytes by number where they are a part of a character only."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)


def _byte_level() -> dict[str, int]:
    """The letters by which byte-level vocabularies write bytes, as GPT-2 chose them."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    letters = {chr(byte): byte for byte in plain}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}
