"""How an engine is set up: plain values that cross to its process; no torch, no environment."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.logs.setup import LogFormat

DEVICE = r"auto|cpu|cuda:[0-9]{1,3}"
DTYPES = ("auto", "bfloat16", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """One engine: its base, its numerics and its budgets (bytes)."""

    base: str
    #: auto: the first CUDA device, or the CPU where there is none; cpu; or cuda:N
    device: str = "auto"
    #: auto measures once at start whether this hardware multiplies bfloat16 faster
    dtype: str = "auto"
    #: None: one per physical core this process may use
    threads: int | None = None
    #: beside the loop: what reads, checks and converts adapters, each on one core
    reader_threads: int = 2
    #: places for resident adapters, slot 0 (the bare base) not counted
    num_slots: int = 64
    #: what all placed adapters together may take on the device
    slot_bytes: int = 512 * 2**20
    #: what all loaded adapters together may take in host memory
    host_bytes: int = 2048 * 2**20
    #: what the keys and values of all texts being written may take together
    kv_cache_bytes: int = 1024 * 2**20
    #: what the frozen activations of all datasets in training may take in memory, and past that on
    #: disk, in files of a folder that go with the process; without a folder none do
    activation_bytes: int = 1024 * 2**20
    activation_disk_bytes: int = 0
    activation_folder: str | None = None
    #: what a second copy of the base's linears may take, by which few tokens are multiplied faster
    #: on a CPU; a base whose copy would take more goes without
    packed_bytes: int = 1024 * 2**20
    #: False pads rows to a rectangle: the oracle, and the way for bases that cannot be packed
    packed: bool = True
    #: one row per forward, so that a row is bit-equal to itself alone
    exact: bool = False
    #: on a CUDA device, whether forwards are captured as graphs and replayed
    cuda_graphs: bool = True
    #: of the engine's time: what training gets at least, however many calls wait
    training_share: float = 0.3
    #: of an engine in a process of its own
    log_format: LogFormat = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(DEVICE, self.device):
            raise ValueError(f"device is {self.device!r}; it must be auto, cpu or cuda:N")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; it must be one of {', '.join(DTYPES)}")
        if self.num_slots < 1:
            raise ValueError(f"num_slots is {self.num_slots}; an engine needs at least one slot")
        if self.reader_threads < 1:
            raise ValueError(
                f"reader_threads is {self.reader_threads}; an engine needs at least one reader"
            )
        if not 0 < self.training_share < 1:
            raise ValueError(f"training_share is {self.training_share}; it must be between 0 and 1")
        if self.kv_cache_bytes < 0:
            raise ValueError(f"kv_cache_bytes is {self.kv_cache_bytes}; it must be at least 0")
        if self.activation_disk_bytes and self.activation_folder is None:
            raise ValueError(
                f"activation_disk_bytes is {self.activation_disk_bytes} and there is no "
                "activation_folder to write them to"
            )
