"""Compiles grammars for one base's tokenizer. Thread-safe.

Compiling takes milliseconds, but a second for a grammar of a million characters, during which no
other row would advance; so the size of grammars is limited, and recent ones are cached.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import llguidance

from engine.errors import BadRow
from engine.grammar.constraint import Constraint, first_line
from engine.grammar.vocabulary import read_vocabulary

_KEPT = 64
_MOST_LETTERS = 65_536


class Grammars:
    """What rows of this base may be held to. The tokenizer is read when first asked for."""

    def __init__(self, tokenizer_json: str, end_ids: Sequence[int]) -> None:
        self._tokenizer_json, self._end_ids = tokenizer_json, list(end_ids)
        self._lock = threading.Lock()
        self._words: llguidance.LLTokenizer | None = None
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()

    def check(self, grammar: str) -> None:
        """Raises BadRow with what is wrong with it."""
        if grammar:
            with self._lock:
                self._compile(grammar)

    def begin(self, grammar: str) -> Constraint:
        """For a text that is still empty. Raises BadRow."""
        with self._lock:
            matcher = self._compile(grammar)
            return Constraint(matcher.deep_copy(), self._tokenizer().vocab_size)

    def _compile(self, grammar: str) -> llguidance.LLMatcher:
        if grammar in self._compiled:
            self._compiled.move_to_end(grammar)
            return self._compiled[grammar]
        if len(grammar) > _MOST_LETTERS:
            raise BadRow(
                f"the grammar has {len(grammar)} letters, and may have {_MOST_LETTERS} at most"
            )
        limits = llguidance.LLParserLimits(verbose_errors=False)
        matcher = llguidance.LLMatcher(self._tokenizer(), grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise BadRow(f"the grammar does not compile: {first_line(matcher)}")
        self._compiled[grammar] = matcher
        if len(self._compiled) > _KEPT:
            self._compiled.popitem(last=False)
        return matcher

    def _tokenizer(self) -> llguidance.LLTokenizer:
        if self._words is None:
            self._words = read_vocabulary(self._tokenizer_json, self._end_ids)
        return self._words
