"""How a server writes its log: one line per event, with the event's own facts behind it."""

from __future__ import annotations

import logging
import sys

#: what every record has; anything else came as `extra` and belongs to the event
_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """`time level message key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        # before super().format appends a traceback, so that the facts stay on the event's own line
        facts = {k: v for k, v in vars(record).items() if k not in _EVERY_RECORD}
        line = " ".join([record.getMessage(), *(f"{name}={fact}" for name, fact in facts.items())])
        plain = logging.makeLogRecord({**vars(record), "msg": line, "args": None})
        return super().format(plain)


def log_to_stderr() -> None:
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(EventFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[stream])
    # they narrate every request or start, which the server's own events say already
    for name in ("httpx", "httpcore", "huggingface_hub", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
