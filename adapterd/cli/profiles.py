"""`adapterd login`, `logout` and `profiles`: the servers that are stored with their keys.

A key is asked for, sent to its server and stored, and never printed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from adapterd.cli.connect import print_warnings
from adapterd.cli.options import Json
from adapterd.errors import BadSetting, Unauthenticated
from adapterd.profiles import Profile, ProfileFile
from adapterd.settings import ClientSettings, current_profile, profile_path, set_variables

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")]
Certificate = Annotated[
    Path | None,
    typer.Option(help="Certificate of this client (PEM)."),
]
CertificateKey = Annotated[Path | None, typer.Option(help="Key of --cert-file (PEM).")]


def login(
    name: Name = "default",
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Address of the server.")
    ] = None,
    grpc: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="gRPC address, if not as the server says."),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="Certificates of trusted CAs (PEM)."),
    ] = None,
    cert_file: Certificate = None,
    key_file: CertificateKey = None,
    as_json: Json = False,
) -> None:
    """Store a server and its API key as a profile, and make it the current one.

    The key is asked for without echo, or read from stdin in a pipe. The server is called first.
    """
    file = ProfileFile.read(profile_path())
    changes = Profile(
        url=url,
        grpc=grpc,
        ca_file=_absolute(ca_file),
        cert_file=_absolute(cert_file),
        key_file=_absolute(key_file),
    )
    profile = _merge(file.profiles.get(name, Profile()), changes)
    changed = file.put(name, profile)  # a bad name is refused before anything is asked
    info = _verify(profile) if not _needs_key(profile) else None
    if info is None:
        profile = replace(profile, api_key=_ask_key(name))
        info = _verify(profile)
        changed = file.put(name, profile)
    changed.write()
    _print_login(name, profile, info, as_json=as_json)


def logout(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Default: the current profile.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Delete a stored profile with its API key. The key itself stays valid."""
    from adapterd.terminal import render

    file = ProfileFile.read(profile_path())
    name = name or current_profile(file)
    if name is None:
        raise BadSetting("No profile is current; pass the NAME of one (see `adapterd profiles`).")
    changed = file.remove(name)
    changed.write()
    if as_json:
        render.print_json({"deleted": name, "current": changed.current})
        return
    render.print_line(f"deleted the profile {name}")
    if changed.current is None and changed.profiles:
        render.print_line("No profile is current now; `adapterd profiles --use NAME` chooses one.")


def profiles(
    use: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make this profile the current one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the stored profiles and which is current."""
    from adapterd.terminal import render

    file = ProfileFile.read(profile_path())
    if use:
        file = file.use(use)
        file.write()
    current = current_profile(file)
    listed = [
        {"name": name, "current": name == current, **_facts(profile)}
        for name, profile in sorted(file.profiles.items())
    ]
    if as_json:
        render.print_json(listed)
        return
    rows = [
        (each["name"], "yes" if each["current"] else "", each["url"],
         "stored" if each["has_api_key"] else "none", each["ca_file"], each["cert_file"])
        for each in listed
    ]  # fmt: skip
    columns = ("name", "current", "url", "API key", "CA file", "client certificate")
    render.print_table(render.count(len(rows), "profile"), columns, rows)
    if not rows:
        typer.echo("`adapterd login --url URL` stores a server as a profile.", err=True)
    _print_overriding()


def _merge(stored: Profile, changes: Profile) -> Profile:
    """A profile for another URL keeps nothing of the stored one, whose key must not go there."""
    if changes.url and changes.url != stored.url:
        return changes
    if not stored.url:
        raise BadSetting("Pass --url with the address of the server, such as http://models:8000.")
    names = ("grpc", "ca_file", "cert_file", "key_file")
    new = {name: getattr(changes, name) for name in names if getattr(changes, name)}
    return replace(stored, api_key=None, **new)


def _needs_key(profile: Profile) -> bool:
    try:
        _ask_info(profile)
    except Unauthenticated as error:
        if error.problem != Unauthenticated.code:
            raise  # the server asks for a certificate, which no key replaces
        return True
    return False


def _ask_info(profile: Profile) -> dict[str, Any]:
    from adapterd.wire.transfer import Fetch, Transfer

    transfer = Transfer(ClientSettings.of_profile(profile))
    try:
        return transfer.send(Fetch(method="GET", path="/v1/info"))
    finally:
        transfer.close()


def _ask_key(name: str) -> str:
    if sys.stdin.isatty():
        key = str(typer.prompt(f"API key for the profile {name}", hide_input=True, err=True))
    else:
        key = sys.stdin.readline()
    if not key.strip():
        raise BadSetting("The server requires an API key, and none was given; nothing is stored.")
    return key.strip()


def _verify(profile: Profile) -> dict[str, Any]:
    """One call over each transport."""
    from adapterd.client.client import Client

    with print_warnings():
        client = Client.from_settings(ClientSettings.of_profile(profile))
    with client:
        next(client.tasks(), None)
        return client.info()


def _print_login(name: str, profile: Profile, info: dict[str, Any], *, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        render.print_json({"name": name, "current": True, **_facts(profile)})
        return
    render.print_line(
        f"{profile.url} answers (adapterd {info['version']}, base {info['base']}); "
        f"it is stored as the profile {name}, which is now current"
    )
    _print_overriding()


def _print_overriding() -> None:
    names = set_variables()
    if names:
        typer.echo(f"Set in the environment, which comes first: {', '.join(names)}", err=True)


def _facts(profile: Profile) -> dict[str, Any]:
    """Everything but the key."""
    return {
        "url": profile.url,
        "grpc": profile.grpc,
        "has_api_key": profile.api_key is not None,
        "ca_file": profile.ca_file,
        "cert_file": profile.cert_file,
    }


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None
