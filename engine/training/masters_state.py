"""The state of a slot's masters at one moment, in host memory, and how it is written.

Owns the names of the files, which are Accelerate's: it reads them. Knows no training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import OPTIMIZER_NAME, SAFE_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MastersState:
    """Tensors as safetensors, the optimizer's state as torch saves it. The random numbers of the
    process are not part of it: a step's own are keyed by its number.
    """

    module: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]

    @classmethod
    def copy_of(cls, module: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> MastersState:
        return cls(module=_copy(module), optimizer=_copy(optimizer))

    def write(self, directory: Path) -> None:
        save_file(dict(self.module), directory / SAFE_WEIGHTS_NAME, {"format": "pt"})
        torch.save(self.optimizer, directory / f"{OPTIMIZER_NAME}.bin")


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copy(each) for key, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value
