"""Allocates blocks of the KV cache: each is free, held by sequences, or cached for a later prefix.

Pure bookkeeping: knows no tensor and no sequence, only the hash of what a block holds.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence

_NAME_BYTES = 32
#: never taken: it stands where a row has no block
NO_BLOCK = 0


class BlockAllocator:
    """Blocks 1 to `num_blocks`, each for `block_tokens` tokens.

    A full block may have a name, which says all that was read up to its end and under what. Rows
    whose beginnings have the same names hold the same blocks. Once nobody holds a named block it
    is kept until the room is needed, the least recently released first.
    """

    def __init__(self, num_blocks: int, block_tokens: int) -> None:
        self.num_blocks, self.block_tokens = num_blocks, block_tokens
        self._num_fresh = num_blocks
        self._freed: list[int] = []
        self._holders: dict[int, int] = {}
        self._names: dict[int, bytes] = {}
        self._named: dict[bytes, int] = {}
        #: named blocks that nobody holds, in the order they were released
        self._kept: dict[int, None] = {}

    @property
    def num_used(self) -> int:
        return len(self._holders)

    @property
    def num_free(self) -> int:
        """How many can be taken, those kept for a prefix among them."""
        return self.num_blocks - self.num_used

    @property
    def num_kept(self) -> int:
        return len(self._kept)

    def take(self, count: int) -> list[int]:
        """Blocks with no name and no other holder; at most `num_free`."""
        assert count <= self.num_free, f"{count} blocks are wanted, {self.num_free} are free"
        taken = [self._next() for _ in range(count)]
        self._holders.update(dict.fromkeys(taken, 1))
        return taken

    def find(self, names: Iterable[bytes]) -> list[int]:
        """Hold the blocks of these names, up to the first that is not there."""
        blocks: list[int] = []
        for name in names:
            if name not in self._named:
                break
            block = self._named[name]
            self._kept.pop(block, None)
            self._holders[block] = self._holders.get(block, 0) + 1
            blocks.append(block)
        return blocks

    def name(self, block: int, name: bytes) -> None:
        """Say what a held block holds. Where another has the name, this one goes without."""
        assert block in self._holders, f"block {block} is nobody's"
        if name not in self._named and block not in self._names:
            self._named[name], self._names[block] = block, name

    def release(self, blocks: Sequence[int]) -> None:
        """Let a row's blocks go, given in its order: the last are the first to be taken again."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block]:
                continue
            del self._holders[block]
            if block in self._names:
                self._kept[block] = None
            else:
                self._freed.append(block)

    def _next(self) -> int:
        if self._freed:
            return self._freed.pop()
        if self._num_fresh:
            self._num_fresh -= 1
            return self.num_blocks - self._num_fresh
        block = next(iter(self._kept))
        del self._kept[block]
        del self._named[self._names.pop(block)]
        return block


def root_hash(digest: str, salt: str) -> bytes:
    """What the names of all blocks read under a version for one salt begin with."""
    return _hash(f"{len(digest)}:{digest}{salt}".encode())


def next_hash(before: bytes, tokens: Sequence[int]) -> bytes:
    """The name of a block of `tokens` after the block named `before`."""
    return _hash(before + array("q", tokens).tobytes())


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_NAME_BYTES).digest()
