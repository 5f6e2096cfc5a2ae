"""What a written text must match: grammars out of schemas, and their state as a row writes.

Torch-free: the front door checks with it what the engine then holds rows to.
"""

from __future__ import annotations

from engine.grammar.constraint import Constraint
from engine.grammar.grammars import Grammars
from engine.grammar.translate import grammar_of

__all__ = ["Constraint", "Grammars", "grammar_of"]
