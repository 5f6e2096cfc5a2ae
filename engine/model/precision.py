"""In which precision this machine computes: one frozen value, measured and decided at start."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

#: bfloat16 halves precision, so it must buy at least this much speed
_WORTH_IT = 1.2
_ROUNDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Precision of weights and activations. Adapter and head masters are always float32.

    Serving, training and evaluation share one value and one resident copy of the base, so that a
    version answers what its evaluation saw.
    """

    dtype: torch.dtype
    device: torch.device
    reason: str

    @property
    def name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def num_devices(self) -> int:
        """Devices like this one that the process may use."""
        return torch.cuda.device_count() if self.device.type == "cuda" else 1


def choose_precision(setting: str, width: int) -> Precision:
    """`setting` is auto, bfloat16 or float32; auto times a product of `width` columns in both."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if setting != "auto":
        return Precision(dtype=getattr(torch, setting), device=device, reason="as configured")
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        return Precision(
            dtype=dtype, device=device, reason=f"{torch.cuda.get_device_name()} has it"
        )
    ratio = _bfloat16_speed(width)
    dtype = torch.bfloat16 if ratio >= _WORTH_IT else torch.float32
    reason = f"bfloat16 products run at {ratio:.1f}x the speed of float32 here"
    return Precision(dtype=dtype, device=device, reason=reason)


def _bfloat16_speed(width: int) -> float:
    """How many times faster than float32 a packed product is: [512, width] x [width, 4 width].

    On one thread and in that thread's own processor time, the best of several interleaved runs: a
    server that restarts on a busy machine must come to the same answer, or its versions would no
    longer answer what their evaluation saw.
    """
    operands = {
        dtype: (torch.randn(512, width).to(dtype), torch.randn(4 * width, width).to(dtype))
        for dtype in (torch.float32, torch.bfloat16)
    }
    best = dict.fromkeys(operands, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(_ROUNDS):
        for dtype, (x_TD, w_FD) in operands.items():
            started = time.thread_time()
            torch.nn.functional.linear(x_TD, w_FD)
            best[dtype] = min(best[dtype], time.thread_time() - started)
    torch.set_num_threads(threads)
    return best[torch.float32] / best[torch.bfloat16]
