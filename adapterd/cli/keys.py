"""`adapterd keys`: API keys in the file that a server reads. Works without a server."""

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
    from server.auth.keys import Key

KeysFile = Annotated[
    Path | None, typer.Option("--keys-file", help="Default: the server's setting keys_file.")
]


def build() -> typer.Typer:
    app = typer.Typer(help="API keys: who may call, as which tenant.", no_args_is_help=True)
    app.command()(create)
    app.command("list")(list_keys)
    app.command()(revoke)
    return app


def create(
    tenant: Annotated[str, typer.Option(help="Whose tasks the key sees.")] = "default",
    role: Annotated[str, typer.Option(help="read, use or admin.")] = "admin",
    keys_file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is printed once, on stdout; the file keeps its hash."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.keys import create_key

    path = _path(keys_file)
    with _refusing():
        key, token = create_key(path, tenant, role)
    if as_json:
        render.print_json(_facts(key) | {"key": token})
    else:
        typer.echo(
            f"{key.role} key {key.id} of tenant {key.tenant}, kept as a hash in {path}:", err=True
        )
        typer.echo(token)


def list_keys(keys_file: KeysFile = None, as_json: Json = False) -> None:
    """List the keys: ids, tenants and roles."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.keys import list_keys as read_keys

    with _refusing():
        keys = read_keys(_path(keys_file))
    if as_json:
        render.print_json([_facts(key) for key in keys])
        return
    rows = [(key.id, key.tenant, key.role, render.moment(key.created_at)) for key in keys]
    render.print_table(f"{len(keys)} keys", ("id", "tenant", "role", "created"), rows)


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="A key's id.")],
    keys_file: KeysFile = None,
    as_json: Json = False,
) -> None:
    """Take a key out of the file; a running server follows within a second."""
    require_platform()
    from adapterd.terminal import render
    from server.auth.keys import revoke_key

    with _refusing():
        key = revoke_key(_path(keys_file), key_id)
    if as_json:
        render.print_json({"revoked": _facts(key)})
    else:
        render.print_line(f"revoked {key.id} of tenant {key.tenant}")


@contextmanager
def _refusing() -> Iterator[None]:
    """The key file's own errors as the command's."""
    from server.errors import BadKeyFile

    try:
        yield
    except BadKeyFile as error:
        raise Refused(str(error), problem=error.code) from error


def _path(keys_file: Path | None) -> Path:
    from server.config import load_settings
    from server.errors import BadSettings

    if keys_file:
        return keys_file
    try:
        configured = load_settings({}).keys_file
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    if configured is None:
        raise BadSetting("no key file is configured: say --keys-file, or set ADAPTERD_KEYS_FILE")
    return configured


def _facts(key: Key) -> dict[str, Any]:
    """What may be shown of a key: not its hash."""
    return {"id": key.id, "tenant": key.tenant, "role": key.role, "created_at": key.created_at}
