"""Builds the engine and the trainer from the settings, for a server and for a worker.

Part of the composition root: it chooses implementations.
"""

from __future__ import annotations

from engine.errors import EngineError
from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from server.config import Settings
from server.data_directory import Data
from server.errors import StartFailed
from trainer.pipeline.job_checks import JobChecks
from trainer.trainer import Trainer


def start_engine(settings: Settings) -> EnginePort:
    """Blocks while the base loads. Raises StartFailed."""
    config = settings.engine_config()
    try:
        if settings.engine == "thread":
            from engine.runtime.in_thread import ThreadEngine  # imports torch

            return ThreadEngine(config)
        from engine.runtime.supervisor import SupervisedEngine

        return SupervisedEngine(config)
    except EngineError as error:
        raise StartFailed(f"the engine cannot start on {settings.base}: {error}") from error


def build_trainer(
    settings: Settings,
    port: EnginePort,
    data: Data,
    tokenizer: Tokenizer,
    checks: JobChecks | None = None,
) -> Trainer:
    return Trainer(
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
