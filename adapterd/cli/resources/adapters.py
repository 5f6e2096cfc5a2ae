"""`adapterd adapters`: the versions and aliases of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_path
from adapterd.cli.exports.command import export
from adapterd.cli.options import Json, ProfileName, Promote, Ref, TaskName, Url
from adapterd.cli.resources.aliases import (
    Number,
    TaskOrVersion,
    history,
    parse_version,
    promote,
    rollback,
    unalias,
)
from adapterd.cli.settings_option import parse_settings
from adapterd.errors import BadSetting

_Adapter = Annotated[
    Path | None,
    typer.Argument(
        metavar="ADAPTER",
        help="Directory as saved by PEFT, or a zip or tar of it; omit it for a prompt.",
    ),
]
_Source = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="hf:OWNER/NAME@REVISION",
        help="Let the server import the adapter from its hub.",
    ),
]


def build() -> typer.Typer:
    app = typer.Typer(help="Manage adapter versions and aliases.", no_args_is_help=True)
    app.command("list")(list_versions)
    for command in (show, report, register, promote, rollback, unalias, history, export, delete):
        app.command()(command)
    return app


def list_versions(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Name of the task.")] = "",
    made_from: Annotated[
        Path | None,
        typer.Option(
            parser=read_data_path, metavar="FILE",
            help="List the versions of all tasks that were trained on this file.",
        ),
    ] = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """List the versions of TASK, or all versions trained on a file."""
    from adapterd.terminal import render

    if bool(task) == bool(made_from):
        raise BadSetting("Pass either a task or --made-from FILE.")
    with connect(url, profile) as client:
        versions = client.versions_made_from(made_from) if made_from else client.versions(task)
    render.print_json(versions) if as_json else render.print_versions(versions)


def show(
    ref: Ref,
    lineage: Annotated[
        bool,
        typer.Option("--lineage", help="Show how it came to be, each time it was published."),
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Show one version."""
    from adapterd.terminal import render
    from adapterd.terminal.lineage import print_lineages

    with connect(url, profile) as client:
        version = client.version(ref)
        exact = f"{version.task}@{version.version}"
        lineages = client.lineages(exact) if lineage else []
    if as_json:
        render.print_json(lineages if lineage else version)
    elif lineage:
        print_lineages(exact, lineages)
    else:
        render.print_version(version)


def report(
    ref: Ref,
    html: Annotated[
        Path | None, typer.Option(help="Write the full report with plots to this file.")
    ] = None,
    in_browser: Annotated[
        bool,
        typer.Option("--open", help="Open the full report in a browser, by a short-lived link."),
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Show the evaluation report of a version."""
    from adapterd.cli.report import open_link, print_report
    from adapterd.terminal import render

    with connect(url, profile) as client:
        version = client.version(ref)
        page = client.report_page(ref) if html else ""
        link = client.report_link(ref) if in_browser else None
    if html:
        _write_page(html, page)
    if link:
        open_link(link)
    missing = {"error": f"The version has the source {version.source}, which makes no report."}
    content = version.lineage.get("report") or missing
    if as_json:
        render.print_json({"task": version.task, "version": version.version, "report": content})
    else:
        print_report(f"{version.task}@{version.version}", content)


def _write_page(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.") from error


def register(
    task: TaskName,
    adapter: _Adapter = None,
    source: _Source = "",
    head: Annotated[
        str, typer.Option(help="Head: classify, tag, span, …; default: as in the files.")
    ] = "",
    labels: Annotated[
        str, typer.Option(help="Labels in the order of the head's outputs: a,b,c.")
    ] = "",
    pooling: Annotated[
        str, typer.Option(help="Pooling: native, cls, mean or last; default: as in the files.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the head, for example input=pair; may be repeated.",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="A note stored in the version's lineage.")] = "",
    other_base: Annotated[
        bool, typer.Option("--other-base", help="Accept an adapter whose files name another base.")
    ] = False,
    promote: Promote = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Publish an adapter or a prompt as a new version."""
    from adapterd.terminal import render

    if adapter and source:
        raise BadSetting(f"Pass either {adapter} or --from {source}.")
    with connect(url, profile) as client:
        version = client.register(
            task,
            adapter,
            source=source,
            head=head,
            labels=[label.strip() for label in labels.split(",") if label.strip()],
            pooling=pooling,
            head_settings=parse_settings(settings or []),
            promote=promote,
            note=note,
            other_base=other_base,
        )
    if as_json:
        render.print_json(version)
        return
    if version.already_published:
        ref = f"{version.task}@{version.version}"
        render.print_line(f"identical to {ref}: nothing new was published")
    render.print_version(version)


def delete(
    task: TaskOrVersion,
    number: Number = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete the task with all its versions and aliases.")
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Delete a version that no alias points to, or with --all the whole task."""
    from adapterd.terminal import render

    if everything and ("@" in task or number is not None):
        raise BadSetting("--all deletes every version of a task; pass the task alone with it.")
    with connect(url, profile) as client:
        if everything:
            ref, deleted = task, dict[str, Any](task=task)
            client.delete_task(task)
        else:
            name, version = parse_version(task, number)
            ref, deleted = f"{name}@{version}", {"task": name, "version": version}
            client.delete_version(name, version)
    render.print_json({"deleted": deleted}) if as_json else render.print_line(f"deleted {ref}")
