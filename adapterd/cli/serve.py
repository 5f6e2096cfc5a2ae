"""`adapterd serve`: turns flags into settings and runs the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapterd.cli.options import ConfigFile, Device, Dtype, ServerSettings, Threads
from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting


def serve(
    base: Annotated[
        str | None, typer.Option(help="Base model: Hugging Face id, folder or package:NAME/PATH.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory for the registry, files and jobs.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; a non-loopback address requires --keys-file."),
    ] = None,
    http_port: Annotated[int | None, typer.Option(help="HTTP port; 0: any free port.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="gRPC port; 0: any free port.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of the Prometheus metrics; 0: any free port.")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    keys_file: Annotated[
        Path | None, typer.Option(help="File with the API keys, created with `adapterd keys`.")
    ] = None,
    tls_cert_file: Annotated[
        Path | None, typer.Option(help="Certificate chain (PEM) of the HTTP and gRPC ports.")
    ] = None,
    tls_key_file: Annotated[Path | None, typer.Option(help="Key (PEM) of --tls-cert-file.")] = None,
    tls_client_ca_file: Annotated[
        Path | None, typer.Option(help="Authorities (PEM) of client certificates, for mTLS.")
    ] = None,
    train: Annotated[
        bool | None,
        typer.Option(
            "--train/--no-train", help="Run training jobs in this server, or only in workers."
        ),
    ] = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
) -> None:
    """Serve tasks over HTTP and gRPC until stopped.

    Settings: flag, else ADAPTERD_NAME in the environment, else adapterd.toml.
    """
    named = {
        "base": base,
        "data_dir": data_dir,
        "host": host,
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "keys_file": keys_file,
        "tls_cert_file": tls_cert_file,
        "tls_key_file": tls_key_file,
        "tls_client_ca_file": tls_client_ca_file,
        "train": train,
    }
    flags = {name: value for name, value in named.items() if value is not None}
    run(flags | _parse_others(settings or []), config)


def run(flags: dict[str, Any], config: Path | None) -> None:
    """Serves until stopped. Raises BadSetting or ServerFailed if the server cannot start."""
    require_platform()
    from adapterd.errors import ServerFailed
    from engine.logs.setup import log_to_stderr
    from server.errors import BadSettings, StartFailed
    from server.main import run as run_server
    from server.settings_sources import load_settings

    try:
        chosen = load_settings(flags, config)
        log_to_stderr(chosen.log_format)
        run_server(chosen)
    except BadSettings as error:
        raise BadSetting(str(error), problem=error.code) from error
    except StartFailed as error:
        raise ServerFailed(str(error), problem=error.code) from error


def _parse_others(pairs: list[str]) -> dict[str, Any]:
    from adapterd.cli.settings_option import parse_settings

    return parse_settings(pairs)
