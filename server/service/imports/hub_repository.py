"""One commit of a repository on a hub, read with huggingface_hub. Knows no adapter.

Every request, redirects too, goes to a host that the operator allowed, and none carries a token of
this machine. What arrives is compared with the hashes that the hub has of it.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from adapters_registry.errors import HubRefused, HubUnavailable
from server.service.imports.hub_source import HubSource, is_commit

_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 20
_NO_TOKEN = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file as the hub lists it: `sha256` of one in its large storage, else git's hash."""

    name: str
    num_bytes: int
    sha256: str | None
    git_hash: str


class HubRepository:
    """For one process, whose session with hubs it takes over."""

    def __init__(self, hub: str, hosts: Collection[str]) -> None:
        """`hosts` are those beside the hub's to which it may send downloads: over TLS, unless they
        are given as origins.
        """
        from huggingface_hub import HfApi, get_session

        self._hub = hub.rstrip("/")
        urls = (host if "://" in host else f"https://{host}" for host in hosts)
        self._origins = {_origin(self._hub), *map(_origin, urls)}
        self._api = HfApi(endpoint=self._hub, token=_NO_TOKEN)
        self._session = get_session()
        hooks = self._session.event_hooks
        self._session.event_hooks = {**hooks, "request": [*hooks["request"], self._check_host]}

    def find(self, source: HubSource) -> tuple[str, list[HubFile]]:
        """The commit that the revision names now, and its files."""
        with self._asking(source):
            info = self._api.model_info(
                source.repository, revision=source.revision, files_metadata=True,
                timeout=_TIMEOUT_S, token=_NO_TOKEN,
            )  # fmt: skip
        commit = info.sha or ""
        if not is_commit(commit) or (is_commit(source.revision) and commit != source.revision):
            raise HubRefused(
                f"the hub answered {source.repository}@{source.revision} with the commit "
                f"{commit[:40]!r}"
            )
        return commit, [_file_of(each) for each in info.siblings or ()]

    def read(self, source: HubSource, commit: str, file: HubFile) -> Iterator[bytes]:
        """The file's bytes; raises HubRefused at their end if they are not those of the commit."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(source.repository, file.name, revision=commit, endpoint=self._hub)
        with self._asking(source):
            metadata = get_hf_file_metadata(url, token=_NO_TOKEN, timeout=_TIMEOUT_S)
        # a hub that keeps its large files itself has led to them already, and says no commit there
        if metadata.commit_hash not in (None, commit):
            raise HubRefused(
                f"the hub sends {file.name} of {metadata.commit_hash}, not of {commit}"
            )
        hashes = _Hashes(file)
        headers = {"accept-encoding": "identity"}
        with (
            self._asking(source),
            self._session.stream(
                "GET", metadata.location, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
            ) as response,
        ):
            response.raise_for_status()
            for chunk in response.iter_raw(_CHUNK_BYTES):
                hashes.update(chunk)
                yield chunk
        hashes.check()

    def _check_host(self, request: Any) -> None:
        if _origin(str(request.url)) not in self._origins:
            raise HubRefused(
                f"the hub sends this download to {request.url.host}, which is not among the hosts "
                "that the server may import from (import_hosts)"
            )

    @contextmanager
    def _asking(self, source: HubSource) -> Iterator[None]:
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

        # the client that huggingface_hub is built on has another name in each of its releases
        http = importlib.import_module(type(self._session).__module__.partition(".")[0])
        try:
            yield
        except (http.HTTPStatusError, HfHubHTTPError) as error:
            raise _refusal(source, error.response.status_code) from error
        except (http.HTTPError, http.InvalidURL, OfflineModeIsEnabled) as error:
            reason = type(error).__name__
            raise HubUnavailable(f"the hub {self._hub} cannot be reached ({reason})") from error
        except (HFValidationError, ValueError, KeyError, TypeError) as error:
            raise HubRefused(f"the hub's answer cannot be read: {error}") from error


class _Hashes:
    def __init__(self, file: HubFile) -> None:
        self._file = file
        self._num_bytes = 0
        self._sha256 = hashlib.sha256()
        # as git names a file
        self._git = hashlib.sha1(f"blob {file.num_bytes}\0".encode(), usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        self._num_bytes += len(chunk)
        self._sha256.update(chunk)
        self._git.update(chunk)

    def check(self) -> None:
        file = self._file
        expected = file.sha256 or file.git_hash
        actual = self._sha256.hexdigest() if file.sha256 else self._git.hexdigest()
        if (self._num_bytes, actual) != (file.num_bytes, expected):
            raise HubRefused(
                f"{file.name} arrived with {self._num_bytes} bytes and the hash {actual}; the "
                f"commit has it with {file.num_bytes} and {expected}"
            )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _file_of(sibling: Any) -> HubFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    if sibling.size is None or not (sha256 or sibling.blob_id):
        raise HubRefused(f"the hub says neither size nor hash of {sibling.rfilename[:80]!r}")
    return HubFile(
        name=sibling.rfilename,
        num_bytes=sibling.size,
        sha256=sha256,
        git_hash=sibling.blob_id or "",
    )


def _refusal(source: HubSource, status: int) -> HubRefused | HubUnavailable:
    name = f"{source.repository}@{source.revision}"
    if status in (401, 403, 404):
        return HubRefused(
            f"the hub has no public repository and revision {name}; for a private or gated one, "
            "download it with your own key and register the directory"
        )
    if status < 500 and status != 429:
        return HubRefused(f"the hub refuses {name} with the status {status}")
    return HubUnavailable(f"the hub answers {name} with the status {status}; try again later")
