"""An entry of an archive as both formats list it. Knows no format."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A regular file or a folder; nothing else may be in an archive."""

    #: as the archive spells it, a folder's without the slash at its end
    name: str
    #: as the archive says, which proves nothing
    num_bytes: int
    is_folder: bool = False


class Archive(Protocol):
    """An archive of either format, read from its beginning by each call."""

    def entries(self) -> Iterator[Entry]:
        """Raises BadArchive for an entry that is neither file nor folder."""
        ...

    def contents(self, names: Set[str]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The files of these names, each to be read before the next."""
        ...
