"""Opens the storage that flags and settings name, and turns its errors into the command's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.platform_packages import require_platform
from adapterd.cli.state_database import name_operator
from adapterd.errors import (
    AdapterdError,
    BadSetting,
    Conflict,
    NotFound,
    Refused,
    ServerFailed,
    Unavailable,
)

if TYPE_CHECKING:
    from adapters_registry.storage.shared_state import SharedState

BackupLocation = Annotated[
    str,
    typer.Argument(metavar="DIR|URL", help="Directory or bucket (s3://…, gs://…, az://…)."),
]
OnBytes = Callable[[int, int], None]


@contextmanager
def open_storage(
    data_dir: Path | None,
    config: Path | None,
    settings: list[str] | None,
    *,
    checks_schema: bool = True,
    creates: bool = False,
) -> Iterator[SharedState]:
    """Of the server with these settings; what happens within is recorded as the operator's. With
    `creates`, what is missing is made. Raises AdapterdError, also for what the block raises.
    """
    require_platform()
    from adapters_registry.audit.actor import Actor, ActorKind, acting
    from server.upkeep.storage import attach

    operator = Actor(kind=ActorKind.OPERATOR, name=name_operator())
    with translate_errors(), acting(operator):
        chosen = _load_settings(data_dir, config, settings)
        with attach(chosen, checks_schema=checks_schema, creates=creates) as state:
            yield state


@contextmanager
def translate_errors() -> Iterator[None]:
    from adapters_registry.errors import RegistryError
    from server.errors import ServerError
    from trainer.errors import TrainerError

    try:
        yield
    except (RegistryError, ServerError, TrainerError) as error:
        raise _kind_of(error)(str(error), problem=error.code) from error


@contextmanager
def storage_progress(name: str, *, quiet: bool) -> Iterator[OnBytes]:
    """A bar on stderr while the block runs."""
    from adapterd.terminal.progress import progress_bar

    with progress_bar(name, quiet=quiet) as on_bytes:
        yield on_bytes


def _load_settings(data_dir: Path | None, config: Path | None, settings: list[str] | None) -> Any:
    from adapterd.cli.settings_option import parse_settings
    from server.settings_sources import load_settings

    flags = {} if data_dir is None else {"data_dir": data_dir}
    return load_settings(flags | parse_settings(settings or []), config)


def _kind_of(error: Exception) -> type[AdapterdError]:
    from adapters_registry import errors as registry
    from server.errors import BadSettings
    from trainer import errors as trainer

    kinds: tuple[tuple[tuple[type[Exception], ...], type[AdapterdError]], ...] = (
        ((BadSettings,), BadSetting),
        ((registry.NotFound, trainer.UnknownFile), NotFound),
        ((registry.Conflict, trainer.FileInUse, trainer.TenantInUse), Conflict),
        ((registry.BadName,), Refused),
        ((registry.StorageUnavailable, registry.StorageBusy, trainer.StorageBusy), Unavailable),
    )
    return next((kind for causes, kind in kinds if isinstance(error, causes)), ServerFailed)
