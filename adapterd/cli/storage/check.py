"""`adapterd doctor --storage`: compares rows with bytes, and mends what is out of step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.storage.opened import open_storage, storage_progress

if TYPE_CHECKING:
    from adapters_registry.storage.repair.finding import Finding


def check_storage(
    *,
    repair: bool,
    reads: bool,
    backup: str | None,
    data_dir: Path | None,
    config: Path | None,
    settings: list[str] | None,
    as_json: bool,
) -> None:
    """Prints the findings; exit status 1 if somebody is hurt and could not be helped."""
    with open_storage(data_dir, config, settings, checks_schema=False) as state:
        from adapterd.terminal import render
        from adapters_registry.storage.backup.place import BackupPlace
        from server.upkeep.storage import build_check, record

        source = BackupPlace(backup, reads_only=True) if backup else None
        with storage_progress("stored files", quiet=as_json) as on_blobs:
            check = build_check(state, source)
            findings = list(check.run(repair=repair, reads=reads, on_blobs=on_blobs))
        if mended := [finding for finding in findings if finding.mended]:
            num_found, num_mended = len(findings), len(mended)
            record(
                state, "storage.repair", "blobs",
                findings=num_found, mended=num_mended, backup=backup,
            )  # fmt: skip
    if as_json:
        render.print_json([_to_plain(finding) for finding in findings])
    elif findings:
        _print(findings)
    else:
        render.print_line("rows and bytes are in step")
    if any(not finding.is_harmless and not finding.mended for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def _to_plain(finding: Finding) -> dict[str, object]:
    from adapterd.terminal import render

    return {**render.to_plain(finding), "harmless": finding.is_harmless}


def _print(findings: list[Finding]) -> None:
    from adapterd.terminal import render

    rows = [
        (
            finding.fault,
            "; ".join([finding.detail, *(f"needed by {owner}" for owner in finding.owners)]),
            finding.mended or ("-" if finding.is_harmless else "not mended"),
        )
        for finding in findings
    ]
    columns = ("fault", "detail", "mended")
    render.print_table(render.count(len(findings), "finding"), columns, rows, ("detail",))
