"""The composition root: everything behind the transports, built and wired in one place.

With `server.training` the only module of the server that chooses implementations.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from engine.port import EnginePort
from engine.prompting import Prompter
from engine.slots import SlotTable
from engine.tokenizer import Tokenizer
from server import limits
from server.config import Settings
from server.data import Data
from server.dispatch.batcher import Batcher
from server.dispatch.compositions import Compositions
from server.dispatch.leases import Leases
from server.dispatch.residency import Residency
from server.dispatch.waiting_room import WaitingRoom
from server.dispatch.writer import Writer
from server.engine_probe import EngineProbe
from server.errors import StartFailed
from server.health import Health
from server.metrics import Live, Metrics
from server.pools import Pools
from server.service.adapters import AdapterService
from server.service.admission import Admission
from server.service.authors import Authors
from server.service.checks import CheckService
from server.service.files import FileService
from server.service.job_feed import JobFeed
from server.service.jobs import JobService, Reading
from server.service.models import ModelService
from server.service.predict import PredictService
from server.service.predict_many import PredictManyService
from server.service.prompts import PromptReader
from server.service.service import Service
from server.service.tasks import TaskService
from server.service.tokens import InputReader
from server.service.views import info_view
from server.service.write import WriteService
from server.training import build_trainer, start_engine
from server.watched_port import WatchedPort
from server.writing_metrics import WritingMetrics
from trainer.child_job_checks import MODULES, ChildJobChecks
from trainer.fork_server import ForkServer
from trainer.trainer import Trainer
from trainer.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The way from a row to a batch."""

    room: WaitingRoom
    writing_room: WaitingRoom
    slots: SlotTable
    residency: Residency
    compositions: Compositions
    batcher: Batcher
    writer: Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a server consists of, for its transports, for tests, and for whoever stops it."""

    port: WatchedPort
    probe: EngineProbe
    owns_port: bool
    data: Data
    dispatch: Dispatch
    service: Service
    worker: Worker
    pools: Pools
    fork_server: ForkServer
    owns_fork_server: bool

    def close(self) -> None:
        """The running job goes back to the queue; the engine ends if it is ours."""
        self.worker.stop()
        self.pools.close()
        if self.owns_fork_server:
            self.fork_server.close()
        if self.owns_port:
            self.port.close()
        self.data.close()


def build(
    settings: Settings,
    given: EnginePort | None,
    metrics: Metrics,
    health: Health,
    given_fork_server: ForkServer | None = None,
) -> Parts:
    """Blocks while the base loads. Raises StartFailed, and holds nothing then."""
    data = Data.open(settings.data_dir)
    try:
        port = WatchedPort(given or start_engine(settings))
    except StartFailed:
        data.close()
        raise
    tokenizer = Tokenizer(port.info.tokenizer_json, port.info.max_tokens)
    dispatch = _dispatch(settings, port, data, metrics)
    fork_server = given_fork_server or ForkServer(MODULES)
    checks = ChildJobChecks(
        fork_server=fork_server, files=data.files, info=port.info,
        max_rows=settings.max_job_rows, limits=limits.check_limits(settings),
    )  # fmt: skip
    trainer = build_trainer(settings, port, data, tokenizer, checks)
    pools = Pools.sized(checks=settings.max_checks)
    worker = Worker(trainer)
    metrics.watch(_live(port, dispatch, worker))
    return Parts(
        port=port,
        probe=EngineProbe(port, tokenizer.encode("ready").ids, settings.engine_timeout_s),
        owns_port=given is None,
        data=data,
        dispatch=dispatch,
        service=_service(
            settings, port, data, dispatch, tokenizer, trainer, metrics, health, pools
        ),
        worker=worker,
        pools=pools,
        fork_server=fork_server,
        owns_fork_server=given_fork_server is None,
    )


def _dispatch(settings: Settings, port: EnginePort, data: Data, metrics: Metrics) -> Dispatch:
    # the engine's last slot is the trainer's, to prove in it what it is about to publish
    num_slots = port.info.num_slots - 1
    residency = Residency(
        port=port, files=data.registry.files, host_bytes=settings.host_bytes, observer=metrics
    )
    room = WaitingRoom(limits.queue_limits(settings))
    writing_room = WaitingRoom(limits.queue_limits(settings))
    slots = SlotTable(num_slots, settings.slot_bytes)
    batcher = Batcher(
        port=port,
        residency=residency,
        room=room,
        slots=slots,
        limits=limits.batch_limits(settings, num_slots),
        observer=metrics,
    )
    writer = Writer(
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


def _service(
    settings: Settings,
    port: EnginePort,
    data: Data,
    dispatch: Dispatch,
    tokenizer: Tokenizer,
    trainer: Trainer,
    metrics: Metrics,
    health: Health,
    pools: Pools,
) -> Service:
    calls = limits.call_limits(settings)
    prompts = PromptReader(Prompter(port.info, tokenizer), port.info.max_tokens, calls.max_chars)
    adapters = AdapterService(
        registry=data.registry,
        port=port,
        residency=dispatch.residency,
        prompts=prompts,
        pools=pools,
    )
    leases = Leases(port=port, residency=dispatch.residency, compositions=dispatch.compositions)
    authors = Authors(data.registry.resolve, port.info)
    write = WriteService(
        authors=authors,
        info=port.info,
        tokenizer=tokenizer,
        prompts=prompts,
        leases=leases,
        writer=dispatch.writer,
        limits=calls,
        observer=metrics,
        draw=lambda: secrets.randbits(63),
    )
    predict = PredictService(
        authors=authors,
        reader=InputReader(tokenizer, calls.max_chars),
        leases=leases,
        admission=Admission(dispatch.room, dispatch.writing_room),
        batcher=dispatch.batcher,
        write=write,
        limits=calls,
        observer=metrics,
    )
    feed: JobFeed[Reading] = JobFeed(
        data.store.changes, pools.lookups, max_streams=settings.max_streams_per_tenant
    )
    return Service(
        predict=predict,
        predict_many=PredictManyService(predict),
        write=write,
        models=ModelService(data.registry, port.info, time.time(), pools.lookups),
        tasks=TaskService(data.registry, dispatch.residency, pools),
        adapters=adapters,
        jobs=JobService(trainer, health, pools, feed),
        files=FileService(data.files, settings.max_upload_bytes, pools),
        checks=CheckService(trainer, pools.checks),
        info=info_view(port.info, version("adapterd")),
    )


def _live(port: EnginePort, dispatch: Dispatch, worker: Worker) -> Callable[[], Live]:
    rooms = (dispatch.room, dispatch.writing_room)

    def live() -> Live:
        return Live(
            queue_rows=sum(room.num_rows for room in rooms),
            queue_tokens=sum(room.num_tokens for room in rooms),
            slots_used=len(dispatch.slots.placed),
            slots_total=port.info.num_slots - 1,
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
