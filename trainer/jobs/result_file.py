"""The curves of a finished job as a file that its owner can download. Knows no slot and no
lease.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.errors import StorageFailed
from trainer.jobs.events import EmitEvent
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import Job

PURPOSE = "fine-tune-results"
#: the facts of an epoch by the column names of OpenAI's result files
_COLUMNS = {
    "step": "step",
    "number": "epoch",
    "loss": "train_loss",
    "dev_loss": "valid_loss",
    "best": "best",
}


def put_result_file(
    files: FileStore, job: Job, result: Mapping[str, Any], emit: EmitEvent
) -> list[str]:
    """The id of a CSV file with a line per epoch of the published run; empty without epochs.

    The version is published already, so a full disk costs only this file.
    """
    if not (epochs := result.get("epochs")):
        return []
    content = _csv(epochs).encode()
    name = f"{job.spec.task}-{job.id}.csv"
    try:
        return [files.put(job.spec.tenant, name, PURPOSE, [content], len(content)).id]
    except StorageFailed as error:
        emit("results.failed", f"The result file could not be stored: {error}", "warn")
        return []


def _csv(epochs: Sequence[Mapping[str, Any]]) -> str:
    rows = [_row(epoch) for epoch in epochs]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """Only metrics that are one number: metrics per class are in the report."""
    dev = {f"valid_{name}": value for name, value in epoch["dev"].items() if _is_number(value)}
    return {column: epoch.get(name) for name, column in _COLUMNS.items()} | dev


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
