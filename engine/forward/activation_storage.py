"""Stores frozen activations: in memory up to one budget, and on disk up to another.

Files are unlinked when they are created, so that they vanish with the process. Knows no row, no
layer and no tenant.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A stored tensor; `spilled` ones count against the disk's budget."""

    tensor: Tensor
    num_bytes: int
    spilled: bool


class ActivationStorage:
    """Two budgets in bytes. Without a folder nothing goes to disk."""

    def __init__(self, memory_bytes: int, disk_bytes: int = 0, folder: str | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes if folder is not None else 0
        self._folder = folder
        self.in_memory = 0
        self.on_disk = 0

    def keep(self, tensor: Tensor) -> StoredTensor | None:
        """Store in memory; None where the budget has no room."""
        size = tensor.numel() * tensor.element_size()
        if self.in_memory + size > self._memory_bytes:
            return None
        self.in_memory += size
        return StoredTensor(tensor=tensor, num_bytes=size, spilled=False)

    def spill(self, tensor: Tensor) -> StoredTensor | None:
        """Store on disk; None where the budget or the disk has no room."""
        size = tensor.numel() * tensor.element_size()
        if self.on_disk + size > self._disk_bytes:
            return None
        try:
            Path(str(self._folder)).mkdir(parents=True, exist_ok=True)
            mapped = self._write_file(tensor)
        except OSError as error:
            _log.warning(
                "frozen activations could not be written to disk",
                extra={"action": "activations.not_spilled", "reason": str(error)},
            )
            return None
        self.on_disk += size
        return StoredTensor(tensor=mapped, num_bytes=size, spilled=True)

    def free(self, held: StoredTensor) -> None:
        if held.spilled:
            self.on_disk -= held.num_bytes
        else:
            self.in_memory -= held.num_bytes

    def _write_file(self, tensor: Tensor) -> Tensor:
        # NumPy has no bfloat16: bytes are bytes
        plain = tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(plain.data)
            file.flush()
            # private pages, so that PyTorch may take them for writable
            mapped = np.memmap(file, dtype=np.uint8, mode="c", shape=plain.shape)
        return torch.from_numpy(mapped).view(tensor.dtype)
