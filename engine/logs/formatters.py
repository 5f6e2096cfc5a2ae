"""A log record as one line: JSON for programs, or text for people at a terminal, its facts behind
the sentence. Whatever a record holds, it stays on its line, and what it shows cannot steer a
terminal.
"""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

#: what every record has; anything else came as `extra` and belongs to the event
_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: characters of one field; of a traceback, which keeps its beginning and its end
MAX_FIELD, MAX_TRACEBACK = 2048, 8192
_MAX_FACTS = 32


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, the event's facts, and
    `traceback` where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {name: _plain(fact) for name, fact in _facts(record).items()}
        line |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _clip(_message(record)),
        }
        if trace := _traceback(self, record):
            line["traceback"] = trace
        # beyond ASCII, and so every character that ends a line somewhere, all is escaped
        return json.dumps(line).replace("\x7f", "\\u007f")


class TextLines(logging.Formatter):
    """`time level message key=value …`, and a traceback on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        facts = (f"{name}={_clip(str(fact))}" for name, fact in _facts(record).items())
        words = [
            moment.strftime("%Y-%m-%d %H:%M:%S"),
            record.levelname,
            _clip(_message(record)),
            *facts,
        ]
        trace = _traceback(self, record).splitlines()
        return "\n    ".join([_escape(" ".join(words)), *(_escape(line) for line in trace)])


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = [(name, fact) for name, fact in vars(record).items() if name not in _EVERY_RECORD]
    return dict(facts[:_MAX_FACTS])


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that are not the message's
        return str(record.msg)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    text = "\n".join(parts)
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"


def _plain(fact: Any) -> Any:
    if fact is None or isinstance(fact, bool | int):
        return fact
    if isinstance(fact, float) and math.isfinite(fact):
        return fact
    return _clip(str(fact))


def _clip(text: str) -> str:
    more = len(text) - MAX_FIELD
    return text if more <= 0 else f"{text[:MAX_FIELD]}… {more} more characters"


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
