"""The way from a row to a batch, built and wired. Part of the composition root: it chooses
implementations.
"""

from __future__ import annotations

from collections.abc import Callable
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
from server.metrics.generation_metrics import WritingMetrics
from server.metrics.live_metrics import Live
from server.metrics.metrics import Metrics
from trainer.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The way from a row to a batch."""

    room: RequestQueue
    writing_room: RequestQueue
    slots: SlotTable
    residency: Residency
    compositions: Compositions
    batcher: Batcher
    writer: GenerationLoop


def build_dispatch(settings: Settings, port: EnginePort, data: Data, metrics: Metrics) -> Dispatch:
    # the engine's last slot is the trainer's, to prove in it what it is about to publish
    num_slots = port.info.num_slots - 1
    residency = Residency(
        port=port, files=data.registry.files, host_bytes=settings.host_bytes, observer=metrics
    )
    room = RequestQueue(limits.queue_limits(settings))
    writing_room = RequestQueue(limits.queue_limits(settings))
    slots = SlotTable(num_slots, settings.slot_bytes)
    batcher = Batcher(
        port=port,
        residency=residency,
        room=room,
        slots=slots,
        limits=limits.batch_limits(settings, num_slots),
        observer=metrics,
    )
    writer = GenerationLoop(
        port=port,
        residency=residency,
        room=writing_room,
        slots=slots,
        batcher=batcher,
        limits=limits.writer_limits(settings, port.info, num_slots),
        observer=WritingMetrics(metrics.registry, metrics),
    )
    compositions = Compositions(port=port, residency=residency, forget=slots.forget)
    return Dispatch(
        room=room, writing_room=writing_room, slots=slots, residency=residency,
        compositions=compositions, batcher=batcher, writer=writer,
    )  # fmt: skip


def live_of(port: EnginePort, dispatch: Dispatch, worker: Worker) -> Callable[[], Live]:
    rooms = (dispatch.room, dispatch.writing_room)

    def live() -> Live:
        return Live(
            queue_rows=sum(room.num_rows for room in rooms),
            queue_tokens=sum(room.num_tokens for room in rooms),
            slots_used=len(dispatch.slots.placed),
            slots_capacity=port.info.num_slots - 1,
            loaded_adapters=dispatch.residency.num_resident,
            loaded_bytes=dispatch.residency.num_bytes,
            engine_generation=port.generation,
            running=dispatch.batcher.running_labels | dispatch.writer.running_labels,
            waiting={entry.label for room in rooms for entry in room.entries if entry.label},
            texts_running=len(dispatch.writer.texts),
            texts_waiting=dispatch.writing_room.num_rows,
            kv_cache_usage=dispatch.writer.share_held,
            trainer_up=worker.problem is None,
            trainer_failures=worker.num_failures,
        )

    return live
