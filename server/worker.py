"""Runs a worker: an engine of its own that trains the jobs of a shared data directory, until it is
stopped. Knows no transport.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from engine.port import EnginePort
from engine.text.tokenizer import Tokenizer
from server.config import Settings
from server.data_directory import Data
from server.factories import build_trainer, start_engine
from trainer.worker import Worker

_log = logging.getLogger("server")
_LOOK_S = 1.0


def run(settings: Settings, existing_port: EnginePort | None = None) -> None:
    """Works until SIGTERM or SIGINT; the running job is then saved and returned to the queue, for
    the next worker to resume. A second signal ends the process at once. Raises StartFailed.
    """
    os.umask(0o077)  # files are readable by the owner only
    stop_requested = threading.Event()
    _stop_on_signals(stop_requested)
    work(settings, stop_requested, existing_port)


def work(
    settings: Settings,
    stop_requested: threading.Event,
    existing_port: EnginePort | None = None,
    on_look: Callable[[Worker], None] | None = None,
) -> None:
    """Works until it is asked to; every second `on_look` sees the worker. Raises StartFailed."""
    data = Data.open(settings)
    try:
        port = existing_port or start_engine(settings)
        try:
            _work(settings, port, data, stop_requested, on_look or (lambda _: None))
        finally:
            if existing_port is None:
                port.close()
    finally:
        data.close()


def _work(
    settings: Settings,
    port: EnginePort,
    data: Data,
    stop_requested: threading.Event,
    on_look: Callable[[Worker], None],
) -> None:
    tokenizer = Tokenizer(port.info.tokenizer_json, port.info.max_tokens)
    worker = Worker(build_trainer(settings, port, data, tokenizer))
    data.news.start()
    data.collection.start(only_copies=True)
    worker.start()
    where = f"on jobs of {settings.data_dir}, over the base {port.info.base}"
    _log.info("working %s", where, extra={"action": "worker.ready"})
    while not stop_requested.wait(_LOOK_S):
        on_look(worker)
    _log.info("leaving the running job", extra={"action": "worker.draining"})
    worker.stop(settings.drain_s)
    _log.info("stopped", extra={"action": "worker.stopped"})


def _stop_on_signals(stop_requested: threading.Event) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop_requested.is_set():
            os._exit(1)  # the second signal ends the process at once
        stop_requested.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
