"""Sets up a process's log: one line per event on stderr, those of libraries too.

For `__main__` modules and commands: it changes the process that calls it.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Literal, TextIO

from engine.logs.formatters import JsonLines, TextLines
from engine.logs.repeat_filter import RepeatFilter

LogFormat = Literal["auto", "json", "text"]
_log = logging.getLogger("process")


def log_to_stderr(log_format: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """`auto` is text where stderr is a terminal, else JSON."""
    out = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextLines() if as_text else JsonLines())
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # they narrate every request, start or checkpoint, which our own events say already
    for name in ("accelerate", "httpx", "httpcore", "huggingface_hub", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("the process ends", exc_info=error, extra={"action": "process.failed"})


def _uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    extra = {"action": "thread.failed", "part": failed.thread.name if failed.thread else ""}
    _log.critical("a thread ended", exc_info=failed.exc_value, extra=extra)


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    _log.error(
        "an error that could not be raised",
        exc_info=failed.exc_value,
        extra={"action": "process.unraisable", "where": repr(failed.object)[:200]},
    )
