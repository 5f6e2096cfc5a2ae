"""A version as one tar archive, which is the same bytes wherever and whenever it is written."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from adapterd.cli.exports.fetched_version import FetchedVersion, writing

_PARTIAL = ".partial"


def write_tar(fetched: FetchedVersion, directory: Path) -> Path:
    """`TASK-VERSION.tar`, under its name once it is whole."""
    target = directory / f"{fetched.version.task}-{fetched.version.version}.tar"
    partial = target.with_name(target.name + _PARTIAL)
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            _pack(fetched.paths, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _pack(paths: Sequence[Path], target: Path) -> None:
    """In the order of names, without times and owners."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(paths):
            member = tarfile.TarInfo(path.name)
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)
