"""Requests about uploaded files, and how a stored file is named instead of a path.

Knows no connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from adapterd.errors import NotFound
from adapterd.values import Erasure, File
from adapterd.wire.transfer import Fetch, open_file, read_file

#: what training files are uploaded for, in OpenAI's words
PURPOSE = "fine-tune"


def list_files(after: str = "", **filters: str) -> Fetch:
    """`filters` are `name`, `sha256`, `id_prefix` and `purpose`."""
    query = {"after": after, **filters}
    parameters = urlencode({name: value for name, value in query.items() if value})
    return Fetch(method="GET", path=f"/v1/files?{parameters}" if parameters else "/v1/files")


def read_files(body: Mapping[str, Any]) -> tuple[list[File], bool]:
    """The files of a page, and whether there are more."""
    return [read_file(file) for file in body["data"]], body["has_more"]


def get_file(file_id: str) -> Fetch:
    return Fetch(method="GET", path=f"/v1/files/{quote(file_id, safe='')}")


def delete_file(file_id: str) -> Fetch:
    return Fetch(method="DELETE", path=f"/v1/files/{quote(file_id, safe='')}")


def erase_file(file_id: str, *, dry_run: bool) -> Fetch:
    """With every version made from it."""
    query = urlencode({"versions": "true", "dry_run": str(dry_run).lower()})
    return Fetch(method="DELETE", path=f"/v1/files/{quote(file_id, safe='')}?{query}")


def erase_tenant(confirm: str, *, dry_run: bool) -> Fetch:
    query = urlencode({"confirm": confirm, "dry_run": str(dry_run).lower()})
    return Fetch(method="DELETE", path=f"/v1/tenant?{query}")


def read_erasure(body: Mapping[str, Any]) -> Erasure:
    """A newer server may have more to say."""
    return Erasure(**{name: body[name] for name in Erasure.__dataclass_fields__})


def find_dataset(name: str) -> Fetch:
    return get_file(name) if name.startswith("file-") else list_files(name=name)


def read_dataset(name: str, body: Mapping[str, Any]) -> File:
    """Raises NotFound."""
    if name.startswith("file-"):
        return read_file(body)
    files, _ = read_files(body)
    if not files:
        raise NotFound(
            f"No file is stored under the name {name!r}; `adapterd files list` lists the names, "
            f"and `adapterd files upload FILE --name {name}` stores one.",
            problem="unknown_file",
        )
    return files[0]


def find_content(path: Path) -> Fetch:
    """Asks for the files with the content of this one."""
    with open_file(path) as stream:
        return list_files(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), purpose=PURPOSE)


def read_content(path: Path, body: Mapping[str, Any], name: str) -> File | None:
    """A stored file that serves as this one: its format is known by the name of the file."""
    files, _ = read_files(body)
    same = (
        file for file in files if file.filename == path.name and (not name or file.name == name)
    )
    return next(same, None)
