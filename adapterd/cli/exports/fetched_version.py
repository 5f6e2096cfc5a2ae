"""A version's files, fetched into a folder of their own. Knows no layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapterd.client.client import Client
from adapterd.errors import Refused
from adapterd.values import Version

MANIFEST, CONFIG = "manifest.json", "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedVersion:
    """`ref` is as it was asked for, `version` what it was then."""

    ref: str
    version: Version
    paths: list[Path]

    @property
    def name(self) -> str:
        return f"{self.version.task}@{self.version.version}"

    def document(self, name: str) -> dict[str, Any]:
        """A JSON file of the version; empty where it has none of that name."""
        path = next((path for path in self.paths if path.name == name), None)
        content: dict[str, Any] = json.loads(path.read_bytes()) if path else {}
        return content


@contextmanager
def fetch_version(client: Client, ref: str) -> Iterator[FetchedVersion]:
    """An alias that moves meanwhile changes nothing: its version is asked for first."""
    version = client.version(ref)
    with TemporaryDirectory(prefix="adapterd-export-") as folder:
        paths = client.export(f"{version.task}@{version.version}", folder)
        yield FetchedVersion(ref=ref, version=version, paths=paths)


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """OSErrors as a sentence that names the path."""
    try:
        yield
    except OSError as error:
        path = error.filename or directory
        raise Refused(f"{path} cannot be written: {error.strerror or error}.") from error
