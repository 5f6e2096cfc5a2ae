"""Writing a version out as a directory for other tools: the bytes it came with, verified."""

from __future__ import annotations

import json
from pathlib import Path

from adapters_registry.adapter_files.file_names import MANIFEST
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.disk import Disk, storing
from adapters_registry.values import Version


def export(version: Version, blobs: Blobs, directory: Path, disk: Disk) -> list[Path]:
    written: list[Path] = []
    with storing("export the version"):
        directory.mkdir(parents=True, exist_ok=True)
        for file in version.manifest.files:
            written.append(directory / file.path)
            disk.write(written[-1], [blobs.get(file.sha256)])
        written.append(directory / MANIFEST)
        disk.write(written[-1], [_document(version)])
        disk.sync_directory(directory)
    return written


def _document(version: Version) -> bytes:
    document = {**version.manifest.document(), "digest": version.digest}
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
