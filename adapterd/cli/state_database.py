"""Opens the database of a server for commands of its operator, and says who the operator is. Needs
no running server.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.errors import BadSetting, Refused

if TYPE_CHECKING:
    from adapters_registry.storage.database import Database
    from server.config import Settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The server's data directory; default: its setting."),
]


def load_server_settings(data_dir: Path | None, config: Path | None) -> Settings:
    """Raises BadSetting."""
    from server.errors import BadSettings
    from server.settings_sources import load_settings

    flags: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
    try:
        return load_settings(flags, config)
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error


@contextmanager
def open_state_database(settings: Settings, *, creates: bool = False) -> Iterator[Database]:
    """As it is: a server may be running on its schema. Where there is none, one is made only if
    the command `creates`, which says so. What happens within is recorded as the operator's. Raises
    Refused.
    """
    from adapters_registry.audit.actor import Actor, ActorKind, acting
    from adapters_registry.errors import StorageError

    try:
        database = _open(settings, creates=creates)
        try:
            with acting(Actor(kind=ActorKind.OPERATOR, name=name_operator())):
                yield database
        finally:
            database.close()
    except StorageError as error:
        raise Refused(str(error), problem=error.code) from error


def _open(settings: Settings, *, creates: bool) -> Database:
    """Raises Refused and StorageError."""
    from adapters_registry.storage.database import Database
    from adapters_registry.storage.shared_state import DATABASE_FILE, open_database

    if settings.database_url is not None and not settings.database_url.startswith("sqlite"):
        return Database.open(settings.database_url, migrate=False)
    data_dir = settings.data_dir.absolute()
    url = settings.database_url or f"sqlite:///{data_dir / DATABASE_FILE}"
    path = Path(url.removeprefix("sqlite:///"))
    if path.is_file():
        return Database.open(url, migrate=False)
    if not creates:
        raise Refused(
            f"there is no database {path}; pass the server's --data-dir or --config, or start the "
            "server once, which makes it",
            problem="no_database",
        )
    database = open_database(data_dir, settings.database_url, settings.blobs_url)
    typer.echo(f"made the database {path}, which was not there", err=True)
    return database


def name_operator() -> str:
    """The user of this machine; a container's may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
