"""The block table of one sequence: its blocks in order, and the hashes by which others share them.

Pure bookkeeping: knows no tensor and no other sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.kv_cache.block_allocator import BlockAllocator, next_hash


class BlockTable:
    """Grows before a forward, is committed after it, and can be given up and filled again.

    A forward that failed leaves nothing behind: only `commit` moves the length, and what lies
    beyond it is overwritten.
    """

    def __init__(self, blocks: BlockAllocator, root: bytes | None) -> None:
        self._blocks = blocks
        #: None: it shares nothing
        self._root = root
        self.blocks: list[int] = []
        #: tokens whose keys and values it holds
        self.length = 0
        self._names: list[bytes] = []

    def reuse(self, ids: Sequence[int]) -> int:
        """Hold what was read of `ids` before, but for the last token; answers how many tokens.

        The last must be read again: nobody keeps what follows it.
        """
        assert not self.blocks, "only a row that holds nothing can begin with what others read"
        if self._root is None:
            return 0
        size, names = self._blocks.block_tokens, [self._root]
        for start in range(0, (len(ids) - 1) // size * size, size):
            names.append(next_hash(names[-1], ids[start : start + size]))
        self.blocks = self._blocks.find(names[1:])
        self._names = names[1 : 1 + len(self.blocks)]
        self.length = len(self.blocks) * size
        return self.length

    def lacks(self, length: int) -> int:
        """How many blocks more it takes to hold so many tokens."""
        return -(-length // self._blocks.block_tokens) - len(self.blocks)

    def grow(self, length: int) -> list[int]:
        """Take blocks for `length` tokens; answers the new ones."""
        taken = self._blocks.take(max(0, self.lacks(length)))
        self.blocks += taken
        return taken

    def commit(self, ids: Sequence[int], length: int) -> None:
        """The first `length` of `ids` have gone through every layer."""
        self.length = length
        if self._root is None:
            return
        size = self._blocks.block_tokens
        for index in range(len(self._names), length // size):
            before = self._names[-1] if self._names else self._root
            self._names.append(next_hash(before, ids[index * size : (index + 1) * size]))
            self._blocks.name(self.blocks[index], self._names[-1])

    def clear(self) -> None:
        """Give everything up."""
        self._blocks.release(self.blocks)
        self.blocks, self._names, self.length = [], [], 0
