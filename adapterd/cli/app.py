"""The command line application: its commands, and how errors become messages and exit codes."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from adapterd.cli import (
    bench,
    check,
    demo,
    doctor,
    profiles,
    serve,
    settings,
    train,
    worker,
)
from adapterd.cli.exit_codes import ExitCode, exit_code
from adapterd.cli.predictions import compare, evaluate, predict
from adapterd.cli.resources import adapters, audit, files, jobs, keys, tasks
from adapterd.cli.storage import backup, collect, erase, migrate
from adapterd.errors import AdapterdError
from adapterd.settings import quiet_grpc

HELP = """Train, version and serve many adapters on one frozen base model.

The client commands use the server of --url or --profile, else of
ADAPTERD_URL, else of the current profile (see `adapterd login`), else
http://127.0.0.1:8000. ADAPTERD_API_KEY comes before the current profile's
key, and after that of --profile."""


def build() -> typer.Typer:
    app = typer.Typer(
        name="adapterd",
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command()(serve.serve)
    app.command()(check.check)
    app.command()(worker.worker)
    app.command()(train.train)
    app.command()(predict.predict)
    app.command()(evaluate.evaluate)
    app.command()(compare.compare)
    app.command()(tasks.tasks)
    app.add_typer(adapters.build(), name="adapters")
    app.add_typer(jobs.build(), name="jobs")
    app.add_typer(files.build(), name="files")
    app.add_typer(keys.build(), name="keys")
    app.add_typer(audit.build(), name="audit")
    app.command()(profiles.login)
    app.command()(profiles.logout)
    app.command()(profiles.profiles)
    app.command()(settings.settings)
    app.command()(doctor.doctor)
    app.command()(migrate.migrate)
    app.command()(backup.backup)
    app.command()(backup.restore)
    app.command()(collect.collect)
    app.add_typer(erase.build(), name="erase")
    app.command()(demo.demo)
    app.command()(bench.bench)
    app.callback()(_root)
    return app


def build_command() -> Any:
    """The whole command. Its flags show no type: `<bool>` would look like a value to pass."""
    command = typer.main.get_command(build())
    _hide_flag_types(command, typer.Context(command, **command.context_settings))
    return command


def _hide_flag_types(command: Any, context: typer.Context) -> None:
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    for child in getattr(command, "commands", {}).values():
        _hide_flag_types(child, typer.Context(child, parent=context, **child.context_settings))


def main() -> None:
    try:
        _run()
    except AdapterdError as error:
        _print_error(error, as_json="--json" in sys.argv)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # what is still in the buffers has no reader, and the interpreter's last flush would say so
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
        sys.exit(ExitCode.CLOSED_PIPE)


def _run() -> None:
    """Runs the command. Raises BrokenPipeError once the reader of stdout has gone, as `| head`."""
    quiet_grpc()
    try:
        build_command()(prog_name="adapterd")
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # typer ends with status 1 instead
            raise BrokenPipeError from None
        sys.stdout.flush()
        raise


def _print_error(error: AdapterdError, *, as_json: bool) -> None:
    if as_json:
        body = {"code": error.problem, "message": str(error), "request_id": error.request_id}
        line = json.dumps({"error": body}, ensure_ascii=False)
    else:
        line = f"adapterd: {error} [{error.problem}]"
    sys.stderr.write(line + "\n")


def _print_version(is_set: bool) -> None:
    if is_set:
        from importlib.metadata import version

        typer.echo(f"adapterd {version('adapterd')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `adapterd` itself."""
