"""`adapterd keys`: the API keys in a server's key file. Needs no running server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.options import Json
from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting, Refused

if TYPE_CHECKING:
    from server.auth.key_file import Key

KeysFile = Annotated[
    Path | None,
    typer.Option("--keys-file", help="Key file; default: the server's setting keys_file."),
]


def build() -> typer.Typer:
    app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
    app.command()(create)
    app.command("list")(list_keys)
    app.command()(revoke)
    return app


def create(
    tenant: Annotated[str, typer.Option(help="Tenant whose tasks the key can access.")] = "default",
    role: Annotated[str, typer.Option(help="Role: read, use or admin.")] = "admin",
    keys_file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Create a key. It is printed once, on stdout; the file stores only its hash."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.key_file import create_key

    path = _keys_path(keys_file)
    with _translate_errors():
        key, token = create_key(path, tenant, role)
    if as_json:
        render.print_json(_facts(key) | {"key": token})
    else:
        typer.echo(
            f"created {key.role} key {key.id} of tenant {key.tenant}; its hash is in {path}:",
            err=True,
        )
        typer.echo(token)


def list_keys(keys_file: KeysFile = None, as_json: Json = False) -> None:
    """List the keys with their ids, tenants and roles."""
    require_platform()
    from adapterd.terminal import render
    from adapterd.terminal.table import time_cell
    from server.auth.key_file import list_keys as read_keys

    with _translate_errors():
        keys = read_keys(_keys_path(keys_file))
    if as_json:
        render.print_json([_facts(key) for key in keys])
        return
    rows = [(key.id, key.tenant, key.role, time_cell(key.created_at)) for key in keys]
    render.print_table(render.count(len(keys), "key"), ("id", "tenant", "role", "created"), rows)


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")],
    keys_file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Revoke a key; a running server refuses it within a second."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.key_file import revoke_key

    with _translate_errors():
        key = revoke_key(_keys_path(keys_file), key_id)
    if as_json:
        render.print_json({"revoked": _facts(key)})
    else:
        render.print_line(f"revoked {key.id} of tenant {key.tenant}")


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raises the key file's errors as errors of the command."""
    from server.errors import BadKeyFile

    try:
        yield
    except BadKeyFile as error:
        raise Refused(str(error), problem=error.code) from error


def _keys_path(keys_file: Path | None) -> Path:
    from server.config import load_settings
    from server.errors import BadSettings

    if keys_file:
        return keys_file
    try:
        configured = load_settings({}).keys_file
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    if configured is None:
        raise BadSetting("no key file is configured: pass --keys-file or set ADAPTERD_KEYS_FILE")
    return configured


def _facts(key: Key) -> dict[str, Any]:
    """The key's fields that may be shown: all but its hash."""
    return {"id": key.id, "tenant": key.tenant, "role": key.role, "created_at": key.created_at}
