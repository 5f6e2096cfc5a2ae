"""The composition root: builds everything behind the transports.

Only this module, `server.dispatching` and `server.factories` choose implementations.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from importlib.metadata import version

from adapters_registry.withdrawals import Withdrawals
from engine.port import EngineInfo, EnginePort
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from server import limits
from server.config import Settings
from server.data_directory import Data
from server.dispatch.leases import Leases
from server.dispatching import Dispatch, build_dispatch, live_of
from server.engine_health.probe import EngineProbe
from server.engine_health.watched_port import WatchedPort
from server.errors import StartFailed
from server.factories import build_trainer, start_engine
from server.health import Health
from server.metrics.metrics import Metrics
from server.metrics.process_metrics import register_processes
from server.pools.pools import Pools
from server.service.entries import EntryFactory
from server.service.generate.prompts import PromptReader
from server.service.generate.service import GenerateService
from server.service.imports import archive_unpacker, hub_importer
from server.service.imports.archive_unpacker import ArchiveUnpacker
from server.service.imports.hub_importer import HubImporter
from server.service.imports.receiver import Receiver
from server.service.inputs.tokenization import InputReader
from server.service.model_resolver import ModelResolver
from server.service.predict.service import PredictService
from server.service.predict_many import PredictManyService
from server.service.predict_router import PredictRouter
from server.service.resources import inspector
from server.service.resources.adapters import AdapterService
from server.service.resources.audit_trail import AuditTrail
from server.service.resources.checks import CheckService
from server.service.resources.erasures import ErasureService
from server.service.resources.files import FileService
from server.service.resources.inspector import Inspector
from server.service.resources.job_feed import JobFeed
from server.service.resources.jobs import JobService, Reading
from server.service.resources.models import ModelService
from server.service.resources.tasks import TaskService
from server.service.service import Service
from server.service.views import GrpcView, info_view
from server.training.job_runner import JobRunner
from server.training.training_process import TrainingProcess, needs_training_process
from server.upkeep.erasure import Eraser
from server.withdrawal_watch import WithdrawalWatch
from trainer.pipeline import sandboxed_job_checks
from trainer.pipeline.sandboxed_job_checks import SandboxedJobChecks
from trainer.sandbox.fork_server import ForkServer
from trainer.trainer import Trainer
from trainer.worker import Worker

#: modules of the child processes, imported once before forking
CHILD_MODULES = (
    *sandboxed_job_checks.MODULES,
    *inspector.MODULES,
    *archive_unpacker.MODULES,
    *hub_importer.MODULES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The parts of a server, for its transports, for tests, and to stop it."""

    port: WatchedPort
    probe: EngineProbe
    owns_port: bool
    data: Data
    dispatch: Dispatch
    service: Service
    worker: JobRunner
    withdrawals: WithdrawalWatch
    pools: Pools
    fork_server: ForkServer
    owns_fork_server: bool

    def close(self) -> None:
        """Returns the running job to the queue; stops the engine if the server started it."""
        self.worker.stop()
        self.pools.close()
        if self.owns_fork_server:
            self.fork_server.close()
        if self.owns_port:
            self.port.close()
        self.data.close()


def build(
    settings: Settings,
    existing_port: EnginePort | None,
    metrics: Metrics,
    health: Health,
    existing_fork_server: ForkServer | None = None,
) -> Components:
    """Blocks while the base loads. Raises StartFailed, and releases everything then."""
    data = Data.open(settings)
    try:
        port = WatchedPort(existing_port or start_engine(settings))
    except StartFailed:
        data.close()
        raise
    tokenizer = Tokenizer(port.info.tokenizer_json, port.info.max_tokens)
    dispatch = build_dispatch(settings, port, data, metrics)
    fork_server = existing_fork_server or ForkServer(CHILD_MODULES)
    checks = SandboxedJobChecks(
        fork_server=fork_server,
        files=data.files,
        info=port.info,
        max_rows=settings.max_job_rows,
        limits=limits.check_limits(settings),
    )
    trainer = build_trainer(settings, port, data, tokenizer, checks)
    pools = Pools.create(checks=settings.max_checks)
    worker: JobRunner = Worker(trainer)
    if _trains_apart(settings, port.info, existing_port):
        worker = TrainingProcess(settings, port.info)
    metrics.watch(live_of(port, data, dispatch, worker), gateway=settings.gateway_metrics)
    register_processes(
        metrics.registry,
        version=version("adapterd"),
        dtype=port.info.dtype,
        device=port.info.device,
        engine=lambda: port.pid,
    )
    return Components(
        port=port,
        probe=EngineProbe(port, tokenizer.encode("ready").ids, settings.engine_timeout_s),
        owns_port=existing_port is None,
        data=data,
        dispatch=dispatch,
        service=_service(
            settings, port, data, dispatch, tokenizer, trainer, metrics, health, pools, fork_server
        ),
        worker=worker,
        withdrawals=WithdrawalWatch(
            Withdrawals(data.state.database), dispatch.residency, metrics, pools.lookups
        ),
        pools=pools,
        fork_server=fork_server,
        owns_fork_server=existing_fork_server is None,
    )


def _trains_apart(settings: Settings, info: EngineInfo, existing_port: EnginePort | None) -> bool:
    """Not by itself where somebody else chose the engine: it may be no process, or no real one."""
    chosen = settings.training_engine == "own"
    alone = existing_port is None and settings.engine == "process"
    return settings.train and (chosen or alone) and needs_training_process(settings, info)


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
    fork_server: ForkServer,
) -> Service:
    calls = limits.call_limits(settings)
    prompts = PromptReader(
        Prompter(port.info, tokenizer), port.info.max_tokens, calls.max_chars, pools.texts
    )
    adapters = AdapterService(
        registry=data.registry,
        port=port,
        residency=dispatch.residency,
        prompts=prompts,
        pools=pools,
        inspector=Inspector(
            port=port,
            residency=dispatch.residency,
            fork_server=fork_server,
            host_bytes=settings.host_bytes,
        ),
        receiver=_receiver(settings, fork_server),
    )
    generate, predict = _answering(port, data, dispatch, tokenizer, prompts, pools, metrics, calls)
    return Service(
        predict=predict,
        predict_many=PredictManyService(predict),
        generate=generate,
        models=ModelService(data.registry, port.info, time.time(), pools.lookups),
        tasks=TaskService(data.registry, dispatch.residency, pools, metrics),
        adapters=adapters,
        audit=AuditTrail(data.registry.audit, pools),
        jobs=JobService(trainer, health, pools, _feed(settings, data, pools)),
        files=FileService(data.files, settings.max_upload_bytes, pools),
        erasures=ErasureService(
            Eraser(data.state, data.registry), data.registry, dispatch.residency, pools, metrics
        ),
        checks=CheckService(trainer, pools.checks),
        info=info_view(port.info, version("adapterd"), _grpc_view(settings)),
    )


def _receiver(settings: Settings, fork_server: ForkServer) -> Receiver:
    hub = HubImporter(fork_server, settings.import_hub, settings.import_hosts)
    return Receiver(ArchiveUnpacker(fork_server), hub)


def _grpc_view(settings: Settings) -> GrpcView:
    return GrpcView(
        port=settings.grpc_port,
        address=settings.grpc_address,
        tls=settings.tls_cert_file is not None,
    )


def _answering(
    port: EnginePort,
    data: Data,
    dispatch: Dispatch,
    tokenizer: Tokenizer,
    prompts: PromptReader,
    pools: Pools,
    metrics: Metrics,
    calls: limits.CallLimits,
) -> tuple[GenerateService, PredictRouter]:
    """The service for generation, and the router for all heads."""
    entries = EntryFactory(
        Leases(port=port, residency=dispatch.residency, compositions=dispatch.compositions)
    )
    models = ModelResolver(data.registry, pools.lookups, port.info)
    generate = GenerateService(
        models=models,
        info=port.info,
        tokenizer=tokenizer,
        prompts=prompts,
        entries=entries,
        loop=dispatch.generation_loop,
        limits=calls,
        observer=metrics,
        draw_seed=lambda: secrets.randbits(63),
        grammars=pools.grammars,
    )
    predict = PredictService(
        models=models,
        reader=InputReader(tokenizer, calls.max_chars, pools.texts),
        entries=entries,
        batcher=dispatch.batcher,
        limits=calls,
        observer=metrics,
    )
    router = PredictRouter(
        models=models,
        predict=predict,
        generate=generate,
        queue=dispatch.queue,
        generation_queue=dispatch.generation_queue,
        limits=calls,
        observer=metrics,
    )
    return generate, router


def _feed(settings: Settings, data: Data, pools: Pools) -> JobFeed[Reading]:
    return JobFeed(data.store.changes, pools.lookups, max_streams=settings.max_streams_per_tenant)
