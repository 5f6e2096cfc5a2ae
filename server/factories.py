"""Builds the keys, the engine and the trainer from the settings, for a server and for a worker.

Part of the composition root: it chooses implementations.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.config import EngineConfig
from engine.errors import EngineError
from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from server.auth.database_keys import DatabaseKeyRing
from server.auth.key_file import KeyRing
from server.config import MIB, Settings
from server.data_directory import Data
from server.errors import StartFailed
from trainer.jobs.changes import JOBS_CHANGED
from trainer.pipeline.job_checks import JobChecks
from trainer.trainer import Trainer

PROOF_BYTES = 256 * MIB


def open_keys(
    settings: Settings, on_gone: Callable[[str], object]
) -> KeyRing | DatabaseKeyRing | None:
    """None where every caller is let in. Those of a database open nothing before they `follow` it.
    `on_gone` is called with each tenant whose last key was revoked. Raises BadKeyFile.
    """
    if settings.keys_file is not None:
        return KeyRing(settings.keys_file, on_gone=on_gone)
    return DatabaseKeyRing(on_gone=on_gone) if settings.require_keys else None


def start_engine(settings: Settings) -> EnginePort:
    """Blocks while the base loads. Raises StartFailed."""
    config = engine_config(settings)
    try:
        if settings.engine == "thread":
            from engine.runtime.in_thread import ThreadEngine  # imports torch

            return ThreadEngine(config)
        from engine.runtime.supervisor import SupervisedEngine

        return SupervisedEngine(config)
    except EngineError as error:
        raise StartFailed(f"the engine cannot start on {settings.base}: {error}") from error


def engine_config(settings: Settings) -> EngineConfig:
    # one more slot and more host memory than callers get: the trainer verifies there what it
    # publishes, however full the rest is
    return EngineConfig(
        base=settings.base,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        exact=settings.exact,
        training_share=settings.training_share,
        num_slots=settings.num_slots + 1,
        slot_bytes=settings.slot_bytes,
        host_bytes=settings.host_bytes + PROOF_BYTES,
        kv_cache_bytes=settings.kv_cache_bytes,
        activation_bytes=settings.activation_bytes,
        activation_disk_bytes=settings.activation_disk_bytes,
        activation_folder=str(settings.data_dir / "activations"),
        packed_bytes=settings.packed_bytes,
        cuda_graphs=settings.cuda_graphs,
        log_format=settings.log_format,
    )


def build_trainer(
    settings: Settings,
    port: EnginePort,
    data: Data,
    tokenizer: Tokenizer,
    checks: JobChecks | None = None,
) -> Trainer:
    """A job that another server queued wakes it."""
    trainer = Trainer(
        port,
        data.registry,
        data.store,
        data.files,
        tokenizer,
        checkpoints=data.checkpoints,
        checkpoint_s=settings.checkpoint_s,
        lease_s=settings.lease_s,
        max_rows=settings.max_job_rows,
        checks=checks,
    )
    data.news.follow(JOBS_CHANGED, trainer.submitted.set, polls=False)
    return trainer
