"""Objects in a bucket of S3, Google Cloud or Azure, by obstore. Knows no hash and no version."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import from_url

from adapters_registry.errors import BlobMissing, ObjectExists, StorageError, StorageUnavailable
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.object_store import StoredObject

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

#: of the three providers; what else obstore opens is of one process, or cannot be written to
_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
#: how an error that has no type of its own, as that of a listing, tells of a refusal
_REFUSAL = re.compile(r"status code: 40[13]\b")
#: errors that the same call gives again, however often it is made
_LASTING = (
    exceptions.InvalidPathError,
    exceptions.UnknownConfigurationKeyError,
    exceptions.NotSupportedError,
)
_REFUSALS = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
_RETRY: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
#: without TLS where the operator's own endpoint has none
_CLIENT: ClientConfig = {"connect_timeout": "5s", "timeout": "300s", "allow_http": True}


class UrlStore:
    """The port `ObjectStore` over a URL such as `s3://BUCKET/PREFIX`; credentials come from the
    provider's usual environment variables.
    """

    def __init__(self, url: str, disk: Disk | None = None, *, reads_only: bool = False) -> None:
        """Asks the store whether it keeps what is there, unless it is only read. Raises
        StorageError.
        """
        self.directory: Path | None = None
        self._disk = disk or Disk()
        if (scheme := urlsplit(url).scheme) not in _SCHEMES:
            raise StorageError(
                f"blobs_url begins with {scheme or 'no scheme'}; it must be the URL of a bucket, "
                "such as s3://, gs:// or az://, or file:// and a directory"
            )
        with _translate_errors("open the object store"):
            self._store: Any = from_url(url, retry_config=_RETRY, client_options=_CLIENT)
        if not reads_only:
            self._refuse_overwriting_store()

    def put(self, name: str, source: Path) -> None:
        self._create(name, source)

    def fetch(self, name: str, target: Path) -> None:
        with _translate_errors(f"fetch {name}"):
            self._disk.write(target, map(bytes, obstore.get(self._store, name).stream()))

    def size(self, name: str) -> int | None:
        try:
            with _translate_errors(f"look for {name}"):
                return int(obstore.head(self._store, name)["size"])
        except BlobMissing:
            return None

    def list(self) -> Iterator[StoredObject]:
        with _translate_errors("list stored objects"):
            for page in obstore.list(self._store):
                for meta in page:
                    yield StoredObject(
                        name=str(meta["path"]),
                        size=int(meta["size"]),
                        modified_at=meta["last_modified"].timestamp(),
                    )

    def now(self) -> float:
        name = _own_name()
        self._create(name, b"now")
        with _translate_errors("ask the object store for its time"):
            stamp = obstore.head(self._store, name)["last_modified"]
            obstore.delete(self._store, name)
        return float(stamp.timestamp())

    def delete(self, name: str) -> None:
        try:
            with _translate_errors(f"delete {name}"):
                obstore.delete(self._store, name)
        except BlobMissing:
            return

    def _create(self, name: str, content: Path | bytes) -> None:
        """One request, which either makes the object or does not: parts of a larger upload could
        not be refused where the object exists.
        """
        try:
            with _translate_errors(f"store {name}"):
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
        except BlobMissing as error:
            raise StorageError(
                f"cannot store {name}: the bucket of blobs_url does not exist"
            ) from error

    def _refuse_overwriting_store(self) -> None:
        """Put one name twice: a store that lets the second win could lose what others stored."""
        name = _own_name()
        self._create(name, b"first")
        try:
            self._create(name, b"second")
        except ObjectExists:
            self.delete(name)
            return
        with suppress(StorageError):  # that it was replaced is what has to be told
            self.delete(name)
        raise StorageError(
            "the object store of blobs_url replaced an object that had to be kept: it ignores "
            "`If-None-Match: *`; choose a store that supports conditional puts"
        )


def _own_name() -> str:
    """Of an object that lives for a moment."""
    return f"self-test/{uuid.uuid4().hex}"


@contextmanager
def _translate_errors(action: str) -> Iterator[None]:
    try:
        yield
    except exceptions.AlreadyExistsError as error:
        raise ObjectExists(f"cannot {action}: there is an object of that name") from error
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise BlobMissing(f"cannot {action}: it is gone", sha256="") from error
    except _LASTING as error:
        raise StorageError(f"cannot {action}: {type(error).__name__}") from error
    except exceptions.BaseError as error:
        if isinstance(error, _REFUSALS) or _REFUSAL.search(str(error)):
            raise StorageError(
                f"cannot {action}: the object store refuses it; look at the credentials and at "
                "what they permit"
            ) from error
        raise StorageUnavailable(
            f"cannot {action}: the object store cannot be reached or answers with errors"
        ) from error
