"""Which reader a base has its rows read on by, and what computes for it on this device."""

from __future__ import annotations

from engine.base import Base
from engine.config import EngineConfig
from engine.memory.kv_cache import KeyValuePool
from engine.sites import Sites
from engine.steps.lone_reader import LoneReader
from engine.steps.packed_forwards import Forwards, PackedForwards
from engine.steps.packed_reader import PackedReader
from engine.steps.running import Reader
from engine.steps.source_reader import SourceReader


def reader_of(base: Base, sites: Sites, config: EngineConfig) -> Reader:
    if base.packed and base.writes and base.family.architecture == "decoder":
        numerics = base.numerics
        pool = KeyValuePool(
            base.model.config, numerics.dtype, numerics.device, config.kv_cache_bytes
        )
        return PackedReader(pool, _forwards(base, sites, pool, config), exact=config.exact)
    if base.family.architecture == "seq2seq":
        return SourceReader(base, sites, budget=config.kv_cache_bytes, exact=config.exact)
    return LoneReader(base, sites)


def _forwards(base: Base, sites: Sites, pool: KeyValuePool, config: EngineConfig) -> Forwards:
    if pool.device.type != "cuda" or config.exact:
        return PackedForwards(base, sites, pool, exact=config.exact)
    # Triton comes with a device's torch, and need not be there without one
    from engine.steps.device_forwards import DeviceForwards
    from engine.steps.recorder import GraphRecorder

    return DeviceForwards(base, sites, pool, GraphRecorder() if config.cuda_graphs else None)
