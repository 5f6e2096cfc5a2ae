"""From tokens to text as they come: never half a character, and never what may yet become a stop
string. Knows no row and no call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.text.tokenizer import Tokenizer
from server.service.completion import TopLogprob

#: what a decoder says of bytes that are no character, or not yet
_UNREADABLE = "\ufffd"
#: how byte-fallback vocabularies name the tokens of single bytes
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"
#: while nothing comes of what is unread, it is decoded again when there is so much more of it
_MORE = 8


class IncrementalDetokenizer:
    """One text while it is written. Its pieces, put together, are the text."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = stop
        self._ids: list[int] = []
        # A token's text depends on the one before it (spaces, halves of characters), so tokens are
        # decoded behind those that were read last, and only what these add counts.
        self._from = self._read = 0
        self._before = ""
        #: with so many tokens unread it is worth to decode them
        self._worth = 1
        #: read, but it may be the beginning of a stop string
        self._held = ""
        self._num_given = 0
        #: a stop string ended the text
        self.stopped = False

    @property
    def num_chars(self) -> int:
        """How many characters were read, given out or not."""
        return self._num_given + len(self._held)

    def add(self, token: int) -> str:
        """What is sure of the text after one more token."""
        if self.stopped:
            return ""
        self._ids.append(token)
        unread = len(self._ids) - self._read
        if unread < self._worth:
            return ""
        now = self._decode(self._ids[self._from :])
        if len(now) <= len(self._before) or now.endswith(_UNREADABLE):
            # a text of nothing but such tokens would else be decoded from its start for each
            self._worth = unread + 1 + unread // _MORE
            return ""
        self._worth = 1
        fresh = now[len(self._before) :]
        self._from, self._read = self._read, len(self._ids)
        self._before = self._decode(self._ids[self._from :])
        return self._settle(fresh)

    def end(self) -> str:
        """The rest, now that nothing more comes."""
        if self.stopped:
            return ""
        fresh = self._decode(self._ids[self._from :])[len(self._before) :]
        self._from = self._read = len(self._ids)
        self._before = ""
        rest = self._settle(fresh)
        return rest if self.stopped else rest + self._give(len(self._held))

    def _settle(self, fresh: str) -> str:
        self._held += fresh
        found = [(at + len(s), at) for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            # the one that is complete first, however many characters came at once
            self.stopped = True
            given = self._give(min(found)[1])
            self._held = ""
            return given
        return self._give(len(self._held) - self._num_doubtful())

    def _num_doubtful(self) -> int:
        """How many of the last characters may be the beginning of a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stop):
                return size
        return 0

    def _give(self, size: int) -> str:
        given, self._held = self._held[:size], self._held[size:]
        self._num_given += size
        return given


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
