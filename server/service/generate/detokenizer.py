"""Converts tokens to text incrementally; holds back partial characters and text that may begin a
stop string. Knows no row and no call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.text.tokenizer import Tokenizer
from server.service.completion import TopLogprob

#: what a decoder returns for bytes that are no complete character
_UNREADABLE = "\ufffd"
#: how byte-fallback vocabularies name the tokens of single bytes
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"
#: pending tokens without text are decoded again after their number has grown by 1/8
_GROWTH = 8


class IncrementalDetokenizer:
    """The text of one sequence while it is generated, in pieces.

    `tokenizers.decoders.DecodeStream` gives the same text, but two inputs that any caller can send
    rule it out: bytes that never become a character are decoded again from the first of them at
    each token (8,000 of them block the event loop for half a minute); and with a byte-fallback
    decoder (Llama, Gemma) it raises "Invalid prefix encountered" if a byte that is no character
    follows one that is, because the decoder then returns the whole run of bytes as unreadable.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = stop
        self._ids: list[int] = []
        # The text of a token depends on earlier ones (spaces, partial characters), so tokens are
        # decoded together with those before them, and only the new text counts: `_ids` from
        # `_prefix` to `_read` are decoded already, as `_prefix_text`.
        self._prefix = self._read = 0
        self._prefix_text = ""
        #: how many tokens must be pending before they are decoded
        self._min_pending = 1
        #: decoded text that may be the start of a stop string
        self._held = ""
        self._num_emitted = 0
        #: a stop string ended the text
        self.stopped = False

    @property
    def num_chars(self) -> int:
        """How many characters were decoded, including those held back."""
        return self._num_emitted + len(self._held)

    def add(self, token: int) -> str:
        """The text that is certain after one more token."""
        if self.stopped:
            return ""
        self._ids.append(token)
        num_pending = len(self._ids) - self._read
        if num_pending < self._min_pending:
            return ""
        text = self._decode(self._ids[self._prefix :])
        if len(text) <= len(self._prefix_text) or text.endswith(_UNREADABLE):
            # otherwise a text of only such tokens would be decoded from its start at each token
            self._min_pending = num_pending + 1 + num_pending // _GROWTH
            return ""
        self._min_pending = 1
        new_text = text[len(self._prefix_text) :]
        self._prefix, self._read = self._read, len(self._ids)
        self._prefix_text = self._decode(self._ids[self._prefix :])
        return self._emit_certain(new_text)

    def end(self) -> str:
        """The rest of the text, once there are no more tokens."""
        if self.stopped:
            return ""
        new_text = self._decode(self._ids[self._prefix :])[len(self._prefix_text) :]
        self._prefix = self._read = len(self._ids)
        self._prefix_text = ""
        rest = self._emit_certain(new_text)
        return rest if self.stopped else rest + self._emit(len(self._held))

    def _emit_certain(self, new_text: str) -> str:
        self._held += new_text
        matches = [(at + len(s), at) for s in self._stop if (at := self._held.find(s)) >= 0]
        if matches:
            # the match that is complete first, however many characters came at once
            self.stopped = True
            text = self._emit(min(matches)[1])
            self._held = ""
            return text
        return self._emit(len(self._held) - self._num_uncertain())

    def _num_uncertain(self) -> int:
        """How many of the last characters may be the start of a stop string."""
        longest = max(map(len, self._stop), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stop):
                return size
        return 0

    def _emit(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        self._num_emitted += size
        return text


class TokenTexts:
    """The text and the bytes of single tokens of one base.

    Any thread may call it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = _byte_level_alphabet() if tokenizer.is_byte_level else None

    def top_logprob(self, token: int, logprob: float) -> TopLogprob:
        content = self._token_bytes(token)
        return TopLogprob(text=_readable(content), bytes=content, logprob=logprob)

    def _token_bytes(self, token: int) -> bytes:
        piece = self._tokenizer.piece(token)
        if self._bytes is not None and all(letter in self._bytes for letter in piece):
            return bytes(self._bytes[letter] for letter in piece)
        if match := _BYTE.fullmatch(piece):
            return bytes.fromhex(match[1])
        return piece.replace(_SPACE, " ").encode()


def _readable(content: bytes) -> str:
    """The text, or the escaped bytes if they are only part of a character."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)


def _byte_level_alphabet() -> dict[str, int]:
    """The letters for bytes in byte-level vocabularies, as in GPT-2."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + number): byte for number, byte in enumerate(others)}
