"""An input that is tokens already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import BadRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIds:
    """Read as it stands, with no special tokens put around it."""

    ids: Sequence[int]

    def known(self, knows: Callable[[int], bool]) -> list[int]:
        """The tokens. Raises BadRow for one that the vocabulary lacks."""
        for token in self.ids:
            if not 0 <= token < 2**32 or not knows(token):
                raise BadRow(f"the input names token {token}, which the base's vocabulary lacks")
        return list(self.ids)
