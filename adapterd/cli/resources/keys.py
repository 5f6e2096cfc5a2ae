"""`adapterd keys`: the API keys in a server's database, or in its key file. Needs no running
server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from adapterd.cli.options import ConfigFile, Json
from adapterd.cli.platform_packages import require_platform
from adapterd.cli.state_database import DataDir, load_server_settings, open_state_database
from adapterd.errors import Refused

if TYPE_CHECKING:
    from server.auth.key import Key

KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys-file",
        help="Key file; default: the server's setting keys_file, and without it the database.",
    ),
]
_A_DAY_S = 86_400.0


class _KeyPlace(Protocol):
    """Where keys are kept."""

    #: in a sentence
    name: str

    def create(self, tenant: str, role: str, expires_at: float | None) -> tuple[Key, str]: ...

    def list(self) -> Sequence[Key]: ...

    def revoke(self, key_id: str) -> Key: ...


def build() -> typer.Typer:
    app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
    app.command()(create)
    app.command("list")(list_keys)
    app.command()(revoke)
    app.command()(rotate_links)
    return app


def create(
    tenant: Annotated[str, typer.Option(help="Tenant whose tasks the key can access.")] = "default",
    role: Annotated[str, typer.Option(help="Role: read, use or admin.")] = "admin",
    expires_in: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0.0, help="Days until the key expires; default: never."),
    ] = None,
    keys_file: KeysFile = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Create a key. It is printed once, on stdout; only its hash is stored."""
    require_platform()
    from adapterd.terminal import render

    expires_at = None if expires_in is None else time.time() + expires_in * _A_DAY_S
    with _open_keys(keys_file, data_dir, config, creates=True) as keys:
        key, token = keys.create(tenant, role, expires_at)
        place = keys.name
    if as_json:
        render.print_json(_facts(key) | {"key": token})
    else:
        typer.echo(
            f"created {key.role} key {key.id} of tenant {key.tenant}; its hash is in {place}:",
            err=True,
        )
        typer.echo(token)


def list_keys(
    keys_file: KeysFile = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List the keys with their ids, tenants and roles."""
    require_platform()
    from adapterd.terminal import render
    from adapterd.terminal.table import time_cell

    with _open_keys(keys_file, data_dir, config) as place:
        keys = place.list()
    if as_json:
        render.print_json([_facts(key) for key in keys])
        return
    rows = [
        (
            key.id,
            key.tenant,
            key.role,
            time_cell(key.created_at),
            None if key.expires_at is None else time_cell(key.expires_at),
        )
        for key in keys
    ]
    columns = ("id", "tenant", "role", "created", "expires")
    render.print_table(render.count(len(keys), "key"), columns, rows)


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")],
    keys_file: KeysFile = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Revoke a key; running servers refuse it within a second if it is in a file, and within
    `poll_s` if it is in the database.
    """
    require_platform()
    from adapterd.terminal import render

    with _open_keys(keys_file, data_dir, config) as keys:
        key = keys.revoke(key_id)
    if as_json:
        render.print_json({"revoked": _facts(key)})
    else:
        render.print_line(f"revoked {key.id} of tenant {key.tenant}")


def rotate_links(
    data_dir: DataDir = None, config: ConfigFile = None, as_json: Json = False
) -> None:
    """Draw a new secret for links to reports: links made before end when the servers restart."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.shared_secret import rotate_secret
    from server.data_directory import LINK

    with open_state_database(load_server_settings(data_dir, config)) as database:
        rotate_secret(database, LINK)
    if as_json:
        render.print_json({"rotated": LINK})
    else:
        render.print_line("a new secret signs links to reports; restart all servers to end the old")


@contextmanager
def _open_keys(
    keys_file: Path | None, data_dir: Path | None, config: Path | None, *, creates: bool = False
) -> Iterator[_KeyPlace]:
    """Raises the errors of the keys as errors of the command."""
    from server.auth.key_table import KeyTable
    from server.errors import BadKey

    settings = load_server_settings(data_dir, config)
    path = keys_file or settings.keys_file
    try:
        if path is not None:
            yield _KeyFile(path)
            return
        with open_state_database(settings, creates=creates) as database:
            place = settings.data_dir if settings.database_url is None else "database_url"
            yield _KeyDatabase(KeyTable(database), f"the database of {place}")
    except BadKey as error:
        raise Refused(str(error), problem=error.code) from error


class _KeyFile:
    """A file of one machine."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def create(self, tenant: str, role: str, expires_at: float | None) -> tuple[Key, str]:
        from server.auth.key_file import create_key

        return create_key(self._path, tenant, role, expires_at)

    def list(self) -> Sequence[Key]:
        from server.auth.key_file import list_keys as read_keys

        return read_keys(self._path)

    def revoke(self, key_id: str) -> Key:
        from server.auth.key_file import revoke_key

        return revoke_key(self._path, key_id)


class _KeyDatabase:
    """The database of a server, or of several."""

    def __init__(self, table: Any, name: str) -> None:
        self.name = name
        self.create = table.create
        self.list = table.list
        self.revoke = table.revoke


def _facts(key: Key) -> dict[str, Any]:
    """The key's fields that may be shown: all but its hash."""
    names = ("id", "tenant", "role", "created_at", "expires_at")
    return {name: getattr(key, name) for name in names}
