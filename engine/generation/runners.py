"""Which reader a base has its rows read on by, and what computes for it on this device."""

from __future__ import annotations

from engine.config import EngineConfig
from engine.generation.eager_forward import Forwards, PackedForwards
from engine.generation.packed_runner import PackedReader
from engine.generation.seq2seq_runner import SourceReader
from engine.generation.sequence import Reader
from engine.generation.single_runner import LoneReader
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.sites.hooks import Sites


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
    from engine.generation.cuda_forward import DeviceForwards
    from engine.generation.cuda_graph import GraphRecorder

    return DeviceForwards(base, sites, pool, GraphRecorder() if config.cuda_graphs else None)
