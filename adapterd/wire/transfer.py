"""Files and reports over HTTP, because gRPC limits message sizes. Owns the `/v1/files` bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import httpx

from adapterd.errors import BadSetting, Refused, ServerFailed
from adapterd.settings import ClientSettings, is_loopback
from adapterd.values import File, ReportLink, Version
from adapterd.wire.diagnosis import explain_http
from adapterd.wire.encryption import make_context
from adapterd.wire.local_file import path_problem
from adapterd.wire.status_errors import from_response

#: called with the bytes sent so far and the total
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One HTTP request with the arguments of httpx."""

    method: str
    path: str
    files: dict[str, Any] | None = None
    data: dict[str, str] | None = None


class Transfer:
    """The HTTP connection of a synchronous client."""

    def __init__(
        self, settings: ClientSettings, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._http = httpx.Client(
            base_url=settings.url or "",
            headers=settings.authorization,
            timeout=httpx.Timeout(60.0, connect=5.0),
            transport=transport,
            trust_env=not is_loopback(settings.url or ""),
            verify=make_context(settings) if settings.uses_tls else True,
        )

    def upload(
        self, path: Path, purpose: str, on_bytes: OnBytes | None = None, name: str = ""
    ) -> File:
        with open_file(path) as file:
            return read_file(
                self.send(upload_request(_TrackedFile(file, path, on_bytes), path, purpose, name))
            )

    def send(self, fetch: Fetch) -> dict[str, Any]:
        self._settings.require_url()
        try:
            response = self._http.request(
                fetch.method, fetch.path, files=fetch.files, data=fetch.data
            )
        except httpx.TransportError as error:
            raise explain_http(error, self._settings) from error
        return read_json(response)

    def text(self, path: str) -> str:
        self._settings.require_url()
        try:
            response = self._http.get(path)
        except httpx.TransportError as error:
            raise explain_http(error, self._settings) from error
        return read_text(response)

    def close(self) -> None:
        self._http.close()


class AsyncTransfer:
    """The HTTP connection of an asyncio client."""

    def __init__(
        self, settings: ClientSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(
            base_url=settings.url or "",
            headers=settings.authorization,
            timeout=httpx.Timeout(60.0, connect=5.0),
            transport=transport,
            trust_env=not is_loopback(settings.url or ""),
            verify=make_context(settings) if settings.uses_tls else True,
        )

    async def upload(
        self, path: Path, purpose: str, on_bytes: OnBytes | None = None, name: str = ""
    ) -> File:
        with open_file(path) as file:
            return read_file(
                await self.send(
                    upload_request(_TrackedFile(file, path, on_bytes), path, purpose, name)
                )
            )

    async def send(self, fetch: Fetch) -> dict[str, Any]:
        self._settings.require_url()
        try:
            response = await self._http.request(
                fetch.method, fetch.path, files=fetch.files, data=fetch.data
            )
        except httpx.TransportError as error:
            raise await asyncio.to_thread(explain_http, error, self._settings) from error
        return read_json(response)

    async def text(self, path: str) -> str:
        self._settings.require_url()
        try:
            response = await self._http.get(path)
        except httpx.TransportError as error:
            raise await asyncio.to_thread(explain_http, error, self._settings) from error
        return read_text(response)

    async def close(self) -> None:
        await self._http.aclose()


def upload_request(file: Any, path: Path, purpose: str, name: str) -> Fetch:
    return Fetch(
        method="POST",
        path="/v1/files",
        files={"file": (path.name, file)},
        data={"purpose": purpose, **({"name": name} if name else {})},
    )


def read_file(body: Mapping[str, Any]) -> File:
    return File(
        id=body["id"],
        filename=body["filename"],
        bytes=body["bytes"],
        created_at=body["created_at"],
        purpose=body["purpose"],
        sha256=body.get("sha256", ""),
        name=body.get("name"),
    )


def read_json(response: httpx.Response) -> dict[str, Any]:
    _require_answer(response)
    try:
        body = response.json()
    except ValueError as error:
        raise ServerFailed(
            f"{response.request.url} answered with something other than JSON; is it the HTTP "
            "address of adapterd?"
        ) from error
    if not isinstance(body, dict):
        raise ServerFailed(f"{response.request.url} answered with JSON that is not an object")
    return body


def read_text(response: httpx.Response) -> str:
    _require_answer(response)
    return response.text


def _require_answer(response: httpx.Response) -> None:
    """Raises the error of a response that is none."""
    if response.is_redirect:
        # not followed: the key would go to an address that nobody has named
        raise BadSetting(
            f"{response.request.url} redirects to {response.headers['location']}; pass the address "
            "that it leads to with --url or in ADAPTERD_URL."
        )
    if response.is_error:
        raise from_response(response)


def report_path(version: Version) -> str:
    return f"/v1/tasks/{version.task}/versions/{version.version}/report"


def report_link_request(version: Version) -> Fetch:
    return Fetch(method="POST", path=f"{report_path(version)}-links")


def read_report_link(url: str, body: Mapping[str, Any]) -> ReportLink:
    """`url` is the server's, as this client reaches it: the server may know itself by another."""
    return ReportLink(url=url.rstrip("/") + str(body["url"]), expires_at=body["expires_at"])


def open_file(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # a ValueError if the path contains a NUL
        raise Refused(path_problem(path) or f"{path} cannot be read: {error}") from error


class _TrackedFile:
    """A file that reports how much of it has been read."""

    def __init__(self, file: IO[bytes], path: Path, on_bytes: OnBytes | None) -> None:
        self._file = file
        self._size = path.stat().st_size
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        if self._on_bytes:
            self._on_bytes(self._file.tell(), self._size)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()
