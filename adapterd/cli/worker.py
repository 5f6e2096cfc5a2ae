"""`adapterd worker`: turns flags into settings and runs a training worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli.options import ConfigFile, Device, Dtype, ServerSettings, Threads
from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting, ServerFailed


def worker(
    base: Annotated[str | None, typer.Option(help="Base model; the same as the server's.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
) -> None:
    """Run queued training jobs in a separate process until stopped.

    Several workers may share a data directory; each job runs in one of them.
    Start the server beside them with `adapterd serve --no-train`.
    """
    require_platform()
    from adapterd.cli.settings_option import parse_settings
    from engine.logs.setup import log_to_stderr
    from server.errors import BadSettings, StartFailed
    from server.settings_sources import load_settings
    from server.worker import run

    named = {
        "base": base,
        "data_dir": data_dir,
        "device": device,
        "dtype": dtype,
        "threads": threads,
    }
    flags = {name: value for name, value in named.items() if value is not None}
    try:
        chosen = load_settings(flags | parse_settings(settings or []), config)
        log_to_stderr(chosen.log_format)
        run(chosen)
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    except StartFailed as error:
        raise ServerFailed(str(error), problem=error.code) from error
