"""Jobs, their events and checkpoints as OpenAI's API shows them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import BadParameter
from server.http_api.openai.fine_tuning_body import ELSEWHERE, usual_rate
from server.http_api.schemas import JobBody
from server.service.page import Page
from server.service.views import JobEventView, JobView
from trainer.jobs.events import CHECKPOINT, EPOCH, PUBLISHED
from trainer.recipe.recipe import PROMPT

#: the events that are listed as checkpoints
CHECKPOINTS = (CHECKPOINT, PUBLISHED)
#: metrics of ours that OpenAI names, and its names
_LOSSES = {"loss": "train_loss", "dev_loss": "valid_loss"}


def job_object(view: JobView, base: str, tenant: str) -> dict[str, Any]:
    """OpenAI's job, with `phase`, `progress`, `suffix` and the result as further fields."""
    spec = view.spec
    return {
        "id": view.id,
        "object": "fine_tuning.job",
        "created_at": int(view.created_at),
        "finished_at": None if view.finished_at is None else int(view.finished_at),
        "model": base,
        "fine_tuned_model": None if view.version is None else f"{view.task}@{view.version}",
        "organization_id": tenant,
        "status": _status(view),
        "phase": "paused" if view.status == "paused" else view.phase,
        "progress": view.progress,
        "hyperparameters": _hyperparameters(spec),
        "method": {"type": "adapter", "adapter": _adapter(spec)},
        "training_file": spec["file_id"],
        "validation_file": spec["dev_file_id"],
        "result_files": view.result.get("result_files", []),
        "trained_tokens": view.result.get("trained_tokens"),
        "error": _error(view),
        "seed": spec["settings"]["seed"],
        "suffix": spec["suffix"] or None,
        "metadata": spec["metadata"],
        "integrations": [],
        "estimated_finish": None if view.eta_s is None else int(time.time() + view.eta_s),
        "result": view.result,
    }


def event_object(event: JobEventView, job_id: str) -> dict[str, Any]:
    is_measure = event.code in (EPOCH, CHECKPOINT)
    return {
        "id": _event_id(job_id, event.number),
        "object": "fine_tuning.job.event",
        "created_at": int(event.created_at),
        "level": event.level,
        "message": event.message,
        "type": "metrics" if is_measure else "message",
        "data": event.data,
        "code": event.code,
    }


def checkpoint_object(event: JobEventView, job_id: str) -> dict[str, Any]:
    """Only the last checkpoint of a job that succeeded can be called as a model."""
    step = int(event.data.get("step", 0))
    losses = {
        column: event.data[name]
        for name, column in _LOSSES.items()
        if event.data.get(name) is not None
    }
    return {
        "id": _event_id(job_id, event.number),
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(event.created_at),
        "fine_tuned_model_checkpoint": event.data.get("ref", f"{job_id}:step-{step}"),
        "fine_tuning_job_id": job_id,
        "step_number": step,
        "metrics": {"step": step, **losses, **event.data["metrics"]},
    }


def list_object(data: Sequence[Mapping[str, Any]], page: Page[Any]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "has_more": page.has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def event_number(after: str | None, job_id: str) -> int | None:
    """The number of an event or checkpoint, from its id."""
    if after is None:
        return None
    number = after.removeprefix(_event_id(job_id, ""))
    if number == after or not number.isdecimal() or not number.isascii() or len(number) > 9:
        raise BadParameter(f"after is {after[:80]!r}, which is not of this job.", param="after")
    return int(number)


def _event_id(job_id: str, number: int | str) -> str:
    return f"{job_id}-event-{number}"


def _status(view: JobView) -> str:
    """One of OpenAI's six statuses; a paused job is queued, and its `phase` is paused."""
    if view.status == "paused":
        return "queued"
    is_validating = view.status == "running" and view.phase == "validating"
    return "validating_files" if is_validating else view.status


def _hyperparameters(spec: Mapping[str, Any]) -> dict[str, Any]:
    settings, chosen = spec["settings"], spec["chosen"]
    rate = None if spec["kind"] == PROMPT else settings["learning_rate"]  # a prompt has no training
    return {
        # the number of rows decides what is not named
        "n_epochs": settings["epochs"] if "epochs" in chosen else "auto",
        "batch_size": settings["batch_rows"] if "batch_rows" in chosen else "auto",
        "learning_rate_multiplier": "auto" if rate is None else rate / usual_rate(spec["kind"]),
    }


def _adapter(spec: Mapping[str, Any]) -> dict[str, Any]:
    columns = {
        name.removesuffix("_column"): value
        for name, value in spec.items()
        if name.endswith("_column")
    }
    rest = {
        name: value
        for name, value in spec.items()
        if name in JobBody.model_fields.keys() - ELSEWHERE.keys() and not name.endswith("_column")
    }
    return {**rest, "test_file": rest.pop("test_file_id"), "columns": columns}


def _error(view: JobView) -> dict[str, Any] | None:
    if view.error_code is None:
        return None
    return {"code": view.error_code, "message": view.error_message, "param": None}
