"""`adapterd serve`: flags to settings, then the server's own composition root."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting


def serve(
    base: Annotated[
        str | None, typer.Option(help="Hugging Face id, folder or package:NAME/PATH.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Registry, files and jobs live here.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Other than loopback needs --keys-file.")] = None,
    http_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, bfloat16 or float32.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    keys_file: Annotated[Path | None, typer.Option(help="API keys: see `adapterd keys`.")] = None,
    train: Annotated[
        bool | None, typer.Option("--train/--no-train", help="Run jobs here, or in workers alone.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Default: adapterd.toml, if there.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the server."),
    ] = None,
) -> None:
    """Serve tasks over HTTP and gRPC until told to stop.

    Settings: flag, else ADAPTERD_NAME in the environment, else adapterd.toml, else the default.
    """
    named = {
        "base": base,
        "data_dir": data_dir,
        "host": host,
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "dtype": dtype,
        "threads": threads,
        "keys_file": keys_file,
        "train": train,
    }
    flags = {name: value for name, value in named.items() if value is not None}
    run(flags | _others(settings or []), config)


def run(flags: dict[str, Any], config: Path | None) -> None:
    """Serves until stopped. Raises BadSetting or ServerFailed if it cannot start."""
    require_platform()
    from adapterd.errors import ServerFailed
    from engine.logs.setup import log_to_stderr
    from server.config import load_settings
    from server.errors import BadSettings, StartFailed
    from server.main import run as run_server

    try:
        chosen = load_settings(flags, config)
        log_to_stderr(chosen.log_format)
        run_server(chosen)
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    except StartFailed as error:
        raise ServerFailed(str(error), problem=error.code) from error


def _others(pairs: list[str]) -> dict[str, Any]:
    from adapterd.cli.settings_option import parse_settings

    return parse_settings(pairs)
