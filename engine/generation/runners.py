"""Chooses the runner for a base, and its forwards for this device."""

from __future__ import annotations

from engine.config import EngineConfig
from engine.generation.eager_forward import EagerForward, PackedForward
from engine.generation.packed_runner import PackedRunner
from engine.generation.seq2seq_runner import Seq2SeqRunner
from engine.generation.sequence import SequenceRunner
from engine.generation.single_runner import SingleRunner
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.sites.hooks import Sites


def make_runner(base: Base, sites: Sites, config: EngineConfig) -> SequenceRunner:
    if base.packed and base.can_generate and base.family.architecture == "decoder":
        numerics = base.numerics
        pool = KeyValuePool(
            base.model.config, numerics.dtype, numerics.device, config.kv_cache_bytes
        )
        return PackedRunner(pool, _forwards(base, sites, pool, config), exact=config.exact)
    if base.family.architecture == "seq2seq":
        return Seq2SeqRunner(base, sites, budget=config.kv_cache_bytes, exact=config.exact)
    return SingleRunner(base, sites)


def _forwards(base: Base, sites: Sites, pool: KeyValuePool, config: EngineConfig) -> PackedForward:
    if pool.device.type != "cuda" or config.exact:
        return EagerForward(base, sites, pool)
    # Triton comes with a device's torch, and need not be there without one
    from engine.generation.cuda_forward import CudaForward
    from engine.ops.cuda_graph import CudaGraphCapture

    return CudaForward(base, sites, pool, CudaGraphCapture() if config.cuda_graphs else None)
