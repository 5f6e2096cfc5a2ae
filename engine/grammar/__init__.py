"""Constrained decoding: grammars from JSON schemas, patterns and choices, and a row's state in one.

Torch-free: the server checks a call's grammar with it before the engine enforces it.
"""

from __future__ import annotations

from engine.grammar.constraint import Constraint
from engine.grammar.grammars import Grammars
from engine.grammar.translate import grammar_of

__all__ = ["Constraint", "Grammars", "grammar_of"]
