"""One small content, its blob, and ways to change its row and its object behind their back."""

from __future__ import annotations

import hashlib
from pathlib import Path

from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobRow
from adapters_registry.storage.blobs import Blob, Blobs

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLOB = Blob(sha256=SHA256, size=len(CONTENT))


def find_row(blobs: Blobs, sha256: str = SHA256) -> BlobRow:
    with blobs.database.read() as db:
        row = blob_table.find(db, sha256)
    assert row is not None
    return row


def change_row(blobs: Blobs, **values: object) -> None:
    with blobs.database.write() as db:
        assert blob_table.change(db, find_row(blobs), **values)


def replace_object(blobs: Blobs, folder: Path, content: bytes) -> None:
    """As a disk or a bucket does that rots: the name stays, the bytes are others."""
    name = find_row(blobs).object
    file = folder / "rotten"
    file.write_bytes(content)
    blobs.store.delete(name)
    blobs.store.put(name, file)


def list_objects(blobs: Blobs) -> list[str]:
    return [stored.name for stored in blobs.store.list()]
