"""`adapterd worker`: flags to settings, then a worker's life in the server's package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting, ServerFailed


def worker(
    base: Annotated[
        str | None, typer.Option(help="The base that the data directory's server runs.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The server's: registry, files and jobs.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, bfloat16 or float32.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    config: Annotated[Path | None, typer.Option(help="Default: adapterd.toml, if there.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the server."),
    ] = None,
) -> None:
    """Train what waits, in a process of its own, until told to stop.

    Several may share a data directory; a job is one worker's at a time. Beside workers a server
    may leave training to them: `adapterd serve --no-train`.
    """
    require_platform()
    from adapterd.cli.settings_option import parse_settings
    from engine.logs.setup import log_to_stderr
    from server.config import load_settings
    from server.errors import BadSettings, StartFailed
    from server.worker import run

    named = {"base": base, "data_dir": data_dir, "dtype": dtype, "threads": threads}
    flags = {name: value for name, value in named.items() if value is not None}
    try:
        chosen = load_settings(flags | parse_settings(settings or []), config)
        log_to_stderr(chosen.log_format)
        run(chosen)
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    except StartFailed as error:
        raise ServerFailed(str(error), problem=error.code) from error
