"""Builds queues, slots, residency, batcher and generation loop. Part of the composition root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.port import EnginePort
from server import limits
from server.config import Settings
from server.data_directory import Data
from server.dispatch.batcher import Batcher
from server.dispatch.compositions import Compositions
from server.dispatch.generation_loop import GenerationLoop
from server.dispatch.request_queue import RequestQueue
from server.dispatch.residency import Residency
from server.dispatch.slots import SlotTable
from server.metrics.generation_metrics import GenerationMetrics
from server.metrics.live_metrics import Live
from server.metrics.metrics import Metrics
from server.training.job_runner import JobRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The parts through which rows reach the engine."""

    queue: RequestQueue
    generation_queue: RequestQueue
    slots: SlotTable
    residency: Residency
    compositions: Compositions
    batcher: Batcher
    generation_loop: GenerationLoop


def build_dispatch(settings: Settings, port: EnginePort, data: Data, metrics: Metrics) -> Dispatch:
    # the engine's last slot is for the trainer, which verifies there what it publishes
    num_slots = port.info.num_slots - 1
    residency = Residency(
        port=port,
        files=data.registry.files,
        examine=data.registry.examine,
        host_bytes=settings.host_bytes,
        observer=metrics,
    )
    queue_limits = limits.queue_limits(settings, port.info)
    queue = RequestQueue(queue_limits, metrics.observe_refusal)
    generation_queue = RequestQueue(queue_limits, metrics.observe_refusal)
    slots = SlotTable(num_slots, settings.slot_bytes)
    batcher = Batcher(
        port=port,
        residency=residency,
        queue=queue,
        slots=slots,
        limits=limits.batch_limits(settings, num_slots),
        budget=limits.token_budget(settings),
        ahead_tokens=settings.ahead_tokens,
        observer=metrics,
    )
    generation_loop = GenerationLoop(
        port=port,
        residency=residency,
        queue=generation_queue,
        slots=slots,
        batcher=batcher,
        limits=limits.generation_limits(settings, port.info, num_slots),
        budget=limits.token_budget(settings),
        observer=GenerationMetrics(metrics.registry, metrics),
    )
    compositions = Compositions(port=port, residency=residency, forget=slots.forget)
    return Dispatch(
        queue=queue,
        generation_queue=generation_queue,
        slots=slots,
        residency=residency,
        compositions=compositions,
        batcher=batcher,
        generation_loop=generation_loop,
    )


def live_of(
    port: EnginePort, data: Data, dispatch: Dispatch, worker: JobRunner
) -> Callable[[], Live]:
    queues = (dispatch.queue, dispatch.generation_queue)

    def live() -> Live:
        return Live(
            queue_rows=sum(queue.num_rows for queue in queues),
            queue_tokens=sum(queue.num_tokens for queue in queues),
            tenant_tokens=_by_tenant(queues),
            slots_used=dispatch.slots.num_placed,
            slots_capacity=port.info.num_slots - 1,
            loaded_adapters=dispatch.residency.num_resident,
            loaded_bytes=dispatch.residency.num_bytes,
            engine_generation=port.generation,
            running=dispatch.batcher.running_labels | dispatch.generation_loop.running_labels,
            waiting={entry.label for queue in queues for entry in queue.entries if entry.label},
            num_running=len(dispatch.generation_loop.sequences),
            num_waiting=dispatch.generation_queue.num_rows,
            kv_cache_usage=dispatch.generation_loop.share_held,
            trainer_up=worker.problem is None,
            trainer_failures=worker.num_failures,
            registry_age_s=data.news.age_s,
            blobs_quarantined=data.state.blobs.examination.num_quarantined,
        )

    return live


def _by_tenant(queues: Sequence[RequestQueue]) -> Counter[str]:
    """The tokens that wait of each tenant."""
    tokens = Counter[str]()
    for queue in queues:
        tokens.update(queue.tokens_by_tenant)
    return tokens
