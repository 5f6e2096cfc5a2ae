"""Which code computes here: the release, and the commit where it is known. Asks no program."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_DISTRIBUTION = "adapterd"
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_ROOT = Path(__file__).resolve().parents[2]


@cache
def describe_code() -> dict[str, str]:
    """`version`, and `commit` of a checkout or of an installation from one: of a changed checkout,
    the commit that was changed.
    """
    code = {}
    with suppress(PackageNotFoundError):
        code["version"] = distribution(_DISTRIBUTION).version
    commit = read_commit(_ROOT) or _read_installed_commit()
    return code if commit is None else {**code, "commit": commit}


def read_commit(root: Path) -> str | None:
    """What HEAD of the repository at `root` names, without asking git; None where it is none."""
    with suppress(OSError, UnicodeDecodeError):
        directory = _find_git_directory(root)
        head = (directory / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return _check(head)
        return _read_ref(directory, head.removeprefix("ref: "))
    return None


def _find_git_directory(root: Path) -> Path:
    """A second working tree has a file that names it."""
    git = root / ".git"
    return root / git.read_text().strip().removeprefix("gitdir: ") if git.is_file() else git


def _read_ref(directory: Path, name: str) -> str | None:
    """As a file, or among those that were packed; raises OSError where there is neither."""
    shared = directory / "commondir"
    common = directory / shared.read_text().strip() if shared.is_file() else directory
    if (common / name).is_file():
        return _check((common / name).read_text().strip())
    for line in (common / "packed-refs").read_text().splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return _check(commit)
    return None


def _read_installed_commit() -> str | None:
    """Of an installation from a repository (PEP 610)."""
    with suppress(PackageNotFoundError, ValueError, KeyError, TypeError):
        record = distribution(_DISTRIBUTION).read_text("direct_url.json")
        return None if record is None else _check(str(json.loads(record)["vcs_info"]["commit_id"]))
    return None


def _check(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None
