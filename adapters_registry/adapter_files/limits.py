"""How much of a foreign adapter is believed at most.

Every cap is checked before anything of that size is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The caps of one registry."""

    max_header_bytes: int = 1 << 20
    max_tensors: int = 20_000
    max_config_bytes: int = 1 << 20
    max_file_bytes: int = 1 << 30
    max_total_bytes: int = 2 << 30
    max_files: int = 32
    #: that are sent beside an adapter's and not stored
    max_left_out: int = 2000
    max_rank: int = 256
    #: of an archive, folders too
    max_entries: int = 4096
    #: an archive may unpack to so many times its size, and to `free_unpacked_bytes` in any case
    max_unpacking_ratio: int = 200
    free_unpacked_bytes: int = 16 << 20
