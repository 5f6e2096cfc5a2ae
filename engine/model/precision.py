"""On which device and in which precision this machine computes: one value, decided at start."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from engine.errors import NoDevice
from engine.ops.frozen_linear import is_multipliable, multiply_frozen, pack_weight

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

    def enter(self) -> None:
        """Kernels that the calling thread launches run on this device."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)


def choose_device(setting: str) -> torch.device:
    """`setting` is auto, cpu or cuda:N; auto is the first CUDA device, or the CPU where there is
    none. Raises NoDevice.
    """
    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if setting == "auto":
        return torch.device("cuda", 0) if num_devices else torch.device("cpu")
    device = torch.device(setting)
    if device.type == "cuda" and device.index >= num_devices:
        there = f"cuda:0 to cuda:{num_devices - 1}" if num_devices > 1 else "cuda:0 alone"
        raise NoDevice(
            f"the setting device is {setting}; this process can use "
            f"{there if num_devices else 'no CUDA device'}"
        )
    return device


def choose_precision(setting: str, device: torch.device, width: int) -> Precision:
    """`setting` is auto, bfloat16 or float32; on a CPU auto times a product of `width` columns in
    both.
    """
    if setting != "auto":
        return Precision(dtype=getattr(torch, setting), device=device, reason="as configured")
    if device.type == "cuda":
        with torch.cuda.device(device):
            has_it = torch.cuda.is_bf16_supported()
        name = torch.cuda.get_device_name(device)
        dtype = torch.bfloat16 if has_it else torch.float32
        reason = f"{name} {'has' if has_it else 'has no'} bfloat16"
        return Precision(dtype=dtype, device=device, reason=reason)
    ratio = _bfloat16_speed(width)
    dtype = torch.bfloat16 if ratio >= _WORTH_IT else torch.float32
    reason = f"bfloat16 products run at {ratio:.1f}x the speed of float32 here"
    return Precision(dtype=dtype, device=device, reason=reason)


def _bfloat16_speed(width: int) -> float:
    """How many times faster than in float32 the base multiplies: [512, width] x [width, 4 width].

    On one thread and in that thread's own processor time, the best of several interleaved runs: a
    server that restarts on a busy machine must come to the same answer, or its versions would no
    longer answer what their evaluation saw.
    """
    products = {dtype: _product(width, dtype) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(products, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(_ROUNDS):
        for dtype, multiply in products.items():
            started = time.thread_time()
            multiply()
            best[dtype] = min(best[dtype], time.thread_time() - started)
    torch.set_num_threads(threads)
    return best[torch.float32] / best[torch.bfloat16]


def _product(width: int, dtype: torch.dtype) -> Callable[[], object]:
    """As the base's linears compute it here."""
    x_TD, w_FD = torch.randn(512, width).to(dtype), torch.randn(4 * width, width).to(dtype)
    if is_multipliable(w_FD):
        return partial(multiply_frozen, x_TD, w_FD, None, pack_weight(w_FD))
    return partial(torch.nn.functional.linear, x_TD, w_FD)
