"""`adapterd settings`: lists the settings of the server or of a training with their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Protocol, get_args

import typer

from adapterd.cli.options import Json
from adapterd.cli.platform_packages import require_platform


class Of(StrEnum):
    """Whose settings."""

    SERVE = "serve"
    TRAIN = "train"


class ModelField(Protocol):
    """A field of a pydantic model, which the client alone does not need."""

    annotation: Any
    default: Any
    description: str | None
    metadata: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as it is listed. `values` are its choices, or the ends of its range."""

    name: str
    default: Any
    values: str
    meaning: str


def settings(
    of: Annotated[Of, typer.Argument(metavar="serve|train", help="Whose settings to list.")],
    as_json: Json = False,
) -> None:
    """List the settings that `serve --set` or `train --set` takes."""
    from adapterd.terminal import render

    listed = list(list_settings(_fields(of)))
    if as_json:
        render.print_json(listed)
        return
    rows = [(f"{each.name} = {_show(each.default)}", _explain(each)) for each in listed]
    columns = ("setting = default", "meaning")
    render.print_table(f"Settings of `{of.value}`", columns, rows, wrapped=columns)


def list_settings(fields: Mapping[str, ModelField]) -> Iterator[Setting]:
    for name, field in fields.items():
        default = field.default
        yield Setting(
            name=name,
            default=default if isinstance(default, bool | int | float | None) else str(default),
            values=_range(field) or _choices(field.annotation),
            meaning=" ".join((field.description or "").split()),
        )


def _fields(of: Of) -> Mapping[str, ModelField]:
    require_platform()
    if of is Of.SERVE:
        from server.config import Settings

        return Settings.model_fields
    from trainer.settings.settings import TrainingSettings

    return TrainingSettings.model_fields


def _range(field: ModelField) -> str:
    """`1 to 200`, `at least 1`: of a number, or of every value of an object."""
    metadata = [*field.metadata, *_nested_metadata(field.annotation)]
    low, above, high = (_limit(metadata, name) for name in ("ge", "gt", "le"))
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"above {above}" if above else ""


def _limit(metadata: Sequence[Any], name: str) -> str:
    limits = (getattr(part, name, None) for part in metadata)
    limit = next((item for item in limits if item is not None), None)
    if limit is None:
        return ""
    return f"{limit:g}" if isinstance(limit, float) else f"{limit:,}"


def _nested_metadata(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield from getattr(part, "metadata", ())
        yield from _nested_metadata(part)


def _choices(annotation: Any) -> str:
    """The values of a literal, or of a flag."""
    if annotation is bool:
        return "true, false"
    names = [str(part) for part in get_args(annotation) if isinstance(part, str)]
    return ", ".join(names)


def _explain(setting: Setting) -> str:
    return f"{setting.meaning} ({setting.values})" if setting.values else setting.meaning


def _show(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None else str(default)
