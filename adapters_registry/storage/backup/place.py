"""Where backups are: a directory or a bucket with blobs that all share, and a folder of rows for
each. A backup is one once its manifest is there, which names the hash of everything.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters_registry.errors import BackupUnusable, BlobMissing, ObjectExists
from adapters_registry.storage import scratch
from adapters_registry.storage.directory_store import DirectoryStore
from adapters_registry.storage.disk import Disk, read_chunks, storing
from adapters_registry.storage.host_cache import hash_file
from adapters_registry.storage.object_store import ObjectStore
from adapters_registry.storage.scratch import Scratch
from adapters_registry.storage.url_store import UrlStore

_MANIFEST = "manifest."
#: nobody makes a backup for so long
_ABANDONED_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup consists of."""

    id: str
    created_at: float
    #: of the schema that the rows have
    revision: str
    #: sha256 of each table's file of rows
    tables: dict[str, str]
    #: blobs that were lost already when the backup was made
    lost: list[str]
    num_blobs: int
    num_bytes: int


class BackupPlace:
    """The backups in one directory or bucket."""

    def __init__(
        self, location: str, disk: Disk | None = None, *, reads_only: bool = False
    ) -> None:
        """A path, or a URL as for `blobs_url`; made unless it is only read. Raises StorageError."""
        self.location = location
        self._disk = disk or Disk()
        #: none: a private folder of its own each time, as other users write beside it
        self._scratch_root: Path | None = None
        self.store: ObjectStore
        if "://" in location and not location.startswith("file://"):
            self.store = UrlStore(location, reads_only=reads_only)
        else:
            root = Path(location.removeprefix("file://")).absolute()
            if reads_only and not root.is_dir():
                raise BackupUnusable(f"there is no directory {root}; name one that holds a backup")
            self.store = DirectoryStore(root, self._disk, reads_only=reads_only)
            if not reads_only:
                self._scratch_root = self.store.incoming  # files are linked into place from here

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder from which files can be put."""
        if self._scratch_root is None:
            with tempfile.TemporaryDirectory(prefix="adapterd-backup-") as folder:
                yield Path(folder)
            return
        area = Scratch(self._scratch_root, self._disk)
        try:
            yield area.path
        finally:
            area.remove()

    def sweep_scratch(self) -> list[str]:
        """Remove what dead backups and restores left half-written on this machine; the names."""
        return scratch.sweep(self._scratch_root, self._disk) if self._scratch_root else []

    def sweep(self, running: Collection[str]) -> None:
        """Remove what backups that died left: files half-written, and rows without a manifest.
        Those that run stay, and those begun lately, maybe of another database.
        """
        self.sweep_scratch()
        files = [stored for stored in self.store.list() if stored.name.startswith("backups/")]
        whole = {_backup_of(stored.name) for stored in files if _MANIFEST in stored.name}
        oldest = self.store.now() - _ABANDONED_S
        for stored in files:
            if stored.modified_at < oldest and _backup_of(stored.name) not in (*whole, *running):
                self.store.delete(stored.name)

    def list_backups(self) -> list[str]:
        """The names of the manifests of whole backups, oldest first."""
        names = (each.name for each in self.store.list())
        return sorted(n for n in names if n.startswith("backups/") and _MANIFEST in n)

    def read_manifest(self, backup_id: str | None = None) -> Manifest:
        """Of the newest backup, or of the named one. Raises BackupUnusable."""
        manifests = self.list_backups()
        if backup_id is not None:
            manifests = [name for name in manifests if name.split("/")[1] == backup_id]
        if not manifests:
            missing = f"no backup {backup_id}" if backup_id else "no whole backup"
            raise BackupUnusable(f"there is {missing} in {self.location}")
        sha256 = manifests[-1].rsplit("/", 1)[-1].removeprefix(_MANIFEST).removesuffix(".json")
        with self.scratch() as folder:
            path = self.fetch(manifests[-1], sha256, folder)
            return Manifest(**json.loads(path.read_bytes()))

    def put_manifest(self, manifest: Manifest) -> None:
        content = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
        name = f"{_MANIFEST}{hashlib.sha256(content).hexdigest()}.json"
        with self.scratch() as folder:
            self._disk.write(folder / name, [content])
            self.store.put(f"backups/{manifest.id}/{name}", folder / name)

    def put_rows(self, backup_id: str, table: str, lines: Iterable[bytes]) -> str:
        """The sha256 of the file."""
        with self.scratch() as folder:
            path = folder / table
            self._disk.write(path, lines)
            with storing("read the rows of the backup"):
                sha256 = hash_file(path)
            self.store.put(_rows_name(backup_id, table), path)
        return sha256

    def read_rows(self, manifest: Manifest, table: str) -> Iterator[bytes]:
        """Verified before the first of them."""
        with self.scratch() as folder:
            path = self.fetch(_rows_name(manifest.id, table), manifest.tables[table], folder)
            with path.open("rb") as file:
                yield from file

    def fetch(self, name: str, sha256: str, folder: Path) -> Path:
        """A verified copy, on stable storage. Raises BackupUnusable."""
        target = folder / uuid.uuid4().hex
        try:
            self.store.fetch(name, target)
        except BlobMissing as error:
            raise BackupUnusable(f"{name} of the backup {self.location} is gone") from error
        if (actual := sync_and_hash(target, self._disk)) != sha256:
            raise BackupUnusable(
                f"{name} of the backup {self.location} is corrupt: its sha256 is {actual}, the "
                f"backup records {sha256}; take another backup"
            )
        return target

    def put_blob(self, sha256: str, size: int, source: Path) -> None:
        """One that is there with other content is replaced."""
        name = blob_name(sha256)
        try:
            self.store.put(name, source)
        except ObjectExists:
            if self.store.size(name) == size and self.is_right(sha256):
                return
            self.store.delete(name)
            self.store.put(name, source)

    def is_right(self, sha256: str) -> bool:
        """Whether a blob that is here has its content. A bucket, which answers for what it keeps,
        is believed: reading from it costs as much as copying anew.
        """
        if self.store.directory is None:
            return True
        with storing("read a stored file of the backup"), suppress(FileNotFoundError):
            return hash_file(self.store.directory / blob_name(sha256)) == sha256
        return False

    def sizes(self) -> dict[str, int]:
        """Of all blobs here, by their object's name."""
        return {
            each.name: each.size for each in self.store.list() if each.name.startswith("blobs/")
        }


def blob_name(sha256: str) -> str:
    return f"blobs/{sha256[:2]}/{sha256}"


def _backup_of(name: str) -> str:
    return name.split("/")[1]


def sync_and_hash(path: Path, disk: Disk) -> str:
    """What a bucket sent is not on stable storage yet."""
    running = hashlib.sha256()
    with storing("read a copied file"), path.open("rb+") as file:
        for chunk in read_chunks(file):
            running.update(chunk)
        disk.sync(file)
    return running.hexdigest()


def _rows_name(backup_id: str, table: str) -> str:
    return f"backups/{backup_id}/rows/{table}.jsonl"
