"""What refs resolved to lately, in memory.

Bounded, and emptied whole whenever the index's generation moves.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from adapters_registry.values import Version

Key = tuple[str, str]  # tenant, ref


class ResolveCache:
    """Answers for one generation of the index.

    Staleness: none that a caller could notice. The generation is read *before* the rows that are
    kept under it, and again before every cached answer, so an answer is never older than the last
    commit that was visible when the call began, whichever thread or process made that commit. A
    whole flush per write is cheap beside a wrong answer.
    """

    def __init__(self, max_entries: int = 4096) -> None:
        self._max_entries = max_entries
        self._generation = -1
        self._versions: OrderedDict[Key, Version] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, generation: int) -> Version | None:
        with self._lock:
            self._turn_to(generation)
            version = self._versions.get(key)
            if version is not None:
                self._versions.move_to_end(key)
            return version

    def put(self, key: Key, generation: int, version: Version) -> None:
        with self._lock:
            if (
                generation != self._generation
            ):  # someone saw a newer one meanwhile: this answer is already old
                return
            self._versions[key] = version
            if len(self._versions) > self._max_entries:
                self._versions.popitem(last=False)

    def _turn_to(self, generation: int) -> None:
        if generation != self._generation:
            self._versions.clear()
            self._generation = generation
