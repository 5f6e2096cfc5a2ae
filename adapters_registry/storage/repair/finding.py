"""One thing that is out of step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can be out of step, by its name in `--json`."""

    SCHEMA = "schema"
    MISSING = "missing"
    SHORT = "short"
    CORRUPT = "corrupt"
    QUARANTINED = "quarantined"
    NO_ROW = "reference_without_blob"
    LEFTOVER = "half_deleted"
    ORPHAN = "bytes_without_row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fault, who is hurt by it, and whether it was mended."""

    fault: Fault
    detail: str
    sha256: str = ""
    #: versions and files that need the content
    owners: tuple[str, ...] = ()
    mended: str = ""

    @property
    def is_harmless(self) -> bool:
        """Nobody is hurt, and collection takes it away by itself."""
        return self.fault in (Fault.LEFTOVER, Fault.ORPHAN) or (
            self.fault != Fault.SCHEMA and not self.owners
        )
