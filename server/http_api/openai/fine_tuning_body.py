"""Reading what `POST /v1/fine_tuning/jobs` asks for: OpenAI's words, and ours under
`method.adapter`, as the fields of a job.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from adapters_registry.errors import BadName
from adapters_registry.ref import check_name
from engine.heads.generate import GenerationHead
from server.errors import BadParameter
from server.http_api.json_body import read_json_text
from server.http_api.schemas import JobBody
from server.service.views import TaskView
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import learning_rate

_ADAPTER = "method.adapter"
_COLUMNS = {name: f"{name}_column" for name in ("text", "text_pair", "label")}
#: fields of a job that the body names elsewhere than under `method.adapter`
ELSEWHERE = {
    "file_id": "training_file",
    "dev_file_id": "validation_file",
    "metadata": "metadata",
    "suffix": "suffix",
    "dry_run": "dry_run",
}
MAX_SUFFIX = 64
_PATH = re.compile(r"`\$\.?([^`]*)`$")
#: of `hyperparameters`, and the setting that each is here
_SETTINGS = {"n_epochs": "epochs", "batch_size": "batch_rows"}


class _Hyperparameters(msgspec.Struct, forbid_unknown_fields=True):
    n_epochs: int | Literal["auto"] | None = None
    batch_size: int | Literal["auto"] | None = None
    learning_rate_multiplier: float | Literal["auto"] | None = None


class _Supervised(msgspec.Struct, forbid_unknown_fields=True):
    hyperparameters: _Hyperparameters | None = None


class _Method(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["adapter", "supervised"]
    adapter: dict[str, Any] | None = None
    supervised: _Supervised | None = None


class Create(msgspec.Struct, forbid_unknown_fields=True):
    """The body as OpenAI names it."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: _Method | None = None
    hyperparameters: _Hyperparameters | None = None
    seed: int | None = None
    suffix: str | None = None
    integrations: list[Any] | None = None
    metadata: dict[str, str] | None = None
    dry_run: bool = False


def read_create(content: bytes) -> Create:
    """Raises BadCall, or BadParameter, which names the field at fault."""
    fields = read_json_text(content)
    try:
        create = msgspec.convert(fields, type=Create)
    except msgspec.ValidationError as error:
        match = _PATH.search(str(error))
        raise BadParameter(f"{error}.", param=match.group(1) if match else None) from error
    if not create.training_file:
        raise BadParameter("training_file is empty.", param="training_file")
    if create.integrations:
        raise BadParameter("This server has no integrations.", param="integrations")
    if len(create.suffix or "") > MAX_SUFFIX:
        raise BadParameter(f"suffix has more than {MAX_SUFFIX} letters.", param="suffix")
    return create


def job_fields(create: Create, task: TaskView | None, heads: Sequence[str]) -> dict[str, Any]:
    """What the service takes. `task` is that of the model, none for the base, which has `heads`."""
    adapter = dict((create.method and create.method.adapter) or {})
    for name in adapter.keys() & ELSEWHERE.keys():
        raise BadParameter(
            f"{_ADAPTER} has no {name}; there is {ELSEWHERE[name]} beside it.",
            param=f"{_ADAPTER}.{name}",
        )
    fields = {
        **_head(create, task, heads),
        **_columns(adapter.pop("columns", {})),
        **_test_file(adapter),
        **adapter,
        "task": _task(adapter.get("task"), create, task),
        "file_id": create.training_file,
        "dev_file_id": create.validation_file,
        "metadata": create.metadata,
        "suffix": create.suffix,
    }
    fields["settings"] = _settings(fields, create)
    return _validate(fields)


def usual_rate(kind: str) -> float:
    """What a `learning_rate_multiplier` multiplies; empty: of the kind that no one chose."""
    usual = JobSpec(tenant="", task="", file_id="")
    return learning_rate(replace(usual, kind=kind) if kind else usual)


def _validate(fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return JobBody.model_validate(fields).model_dump(exclude_none=True, exclude={"dry_run"})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        param = ELSEWHERE.get(name, f"{_ADAPTER}.{name}")
        raise BadParameter(f"{param}: {first['msg']}.", param=param) from error


def _columns(columns: Any) -> dict[str, Any]:
    if not isinstance(columns, dict) or columns.keys() - _COLUMNS.keys():
        raise BadParameter(
            f"columns must be an object of {', '.join(_COLUMNS)}.", param=f"{_ADAPTER}.columns"
        )
    return {_COLUMNS[name]: column for name, column in columns.items()}


def _test_file(adapter: dict[str, Any]) -> dict[str, Any]:
    return {"test_file_id": adapter.pop("test_file")} if "test_file" in adapter else {}


def _head(create: Create, task: TaskView | None, heads: Sequence[str]) -> dict[str, str]:
    """The task's own; OpenAI's own methods are for models that write, so a base that can, does."""
    if task is not None:
        return {"head": task.head}
    is_ours = create.method is not None and create.method.type == "adapter"
    return {"head": GenerationHead.name} if GenerationHead.name in heads and not is_ours else {}


def _task(named: Any, create: Create, task: TaskView | None) -> Any:
    """By its own name, else that of the model, else the suffix, else by a new one."""
    param = "suffix" if named is None and task is None else f"{_ADAPTER}.task"
    named = named or (task.task if task else create.suffix)
    if named is None:
        return f"ft-{secrets.token_hex(4)}"
    try:
        return check_name(named) if isinstance(named, str) else named
    except BadName as error:
        raise BadParameter(f"{error}.", param=param) from error


def _settings(fields: Mapping[str, Any], create: Create) -> dict[str, Any]:
    settings = fields.get("settings") or {}
    if not isinstance(settings, dict):
        raise BadParameter("settings must be an object.", param=f"{_ADAPTER}.settings")
    hyperparameters = _hyperparameters(create, fields.get("kind") or "")
    if create.seed is not None:
        hyperparameters["seed"] = create.seed
    if twice := sorted(hyperparameters.keys() & settings.keys()):
        raise BadParameter(
            f"{', '.join(twice)} is said twice, here and in OpenAI's words.",
            param=f"{_ADAPTER}.settings",
        )
    return {**settings, **hyperparameters}


def _hyperparameters(create: Create, kind: str) -> dict[str, Any]:
    method = create.method
    within = method.supervised.hyperparameters if method and method.supervised else None
    chosen = within or create.hyperparameters
    if chosen is None:
        return {}
    fields = msgspec.structs.asdict(chosen)
    values = {name: value for name, value in fields.items() if value is not None}
    settings = {_SETTINGS[name]: value for name, value in values.items() if name in _SETTINGS}
    if "learning_rate_multiplier" in values and values["learning_rate_multiplier"] != "auto":
        settings["learning_rate"] = values["learning_rate_multiplier"] * usual_rate(kind)
    return {name: value for name, value in settings.items() if value != "auto"}
