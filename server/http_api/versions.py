"""Versions over HTTP: register by upload, list, export as tar, delete."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, File, Form, UploadFile
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, Response, StreamingResponse

from adapters_registry.adapter_files.strict_json import NotStrictJson, parse_object
from server.audit import note
from server.errors import BadCall
from server.http_api.route import AuthenticatorOf, CallerOf, GuardedRoute, ServiceOf
from server.http_api.schemas import LineagesOut, ReportLinkOut, VersionsOut, Whole
from server.service.resources.export import Export
from server.service.values import Registration
from server.service.views import VersionView
from trainer.report.page.page import content_security_policy

router = APIRouter(route_class=GuardedRoute, tags=["versions"])
_CHUNK_BYTES = 1024 * 1024
_TAR: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/v1/tasks/{task}/versions")
async def list_versions(task: str, caller: CallerOf, service: ServiceOf) -> VersionsOut:
    """All versions of a task, oldest first."""
    return VersionsOut(versions=list(await service.adapters.list(caller, task)))


@router.get("/v1/versions")
async def list_made_from(dataset: str, caller: CallerOf, service: ServiceOf) -> VersionsOut:
    """The versions of every task that were trained on a file, by the sha256 of its contents."""
    return VersionsOut(versions=list(await service.adapters.list_made_from(caller, dataset)))


@router.post("/v1/tasks/{task}/versions", status_code=201)
async def register(
    task: str,
    caller: CallerOf,
    service: ServiceOf,
    files: Annotated[
        list[UploadFile] | None,
        File(description="files of a PEFT adapter directory, or one zip or tar of it"),
    ] = None,
    head: Annotated[str, Form()] = "",
    labels: Annotated[str, Form(description="comma separated")] = "",
    pooling: Annotated[str, Form()] = "",
    head_settings: Annotated[str, Form(description="other settings of the head, as JSON")] = "{}",
    promote: Annotated[bool, Form()] = False,
    note: Annotated[str, Form()] = "",
    other_base: Annotated[
        bool, Form(description="serve it although its files name another base")
    ] = False,
    source: Annotated[
        str, Form(description="`hf:OWNER/NAME@REVISION`: import it from a hub, without files")
    ] = "",
) -> VersionView:
    """Register an adapter directory as the task's next version.

    Files that are none of an adapter are left out, and listed in the answer.
    """
    registration = Registration(
        task=task,
        head=head,
        labels=tuple(label.strip() for label in labels.split(",") if label.strip()),
        pooling=pooling,
        head_settings=_object(head_settings),
        promote=promote,
        note=note,
        other_base=other_base,
        source=source,
    )
    upload = ((file.filename or "", chunks(file.file)) for file in files or ())
    return await service.adapters.register(caller, registration, upload)


@router.get("/v1/tasks/{task}/versions/{number}")
async def get_version(
    task: str, number: Whole, caller: CallerOf, service: ServiceOf
) -> VersionView:
    """One version, and the aliases that name it."""
    return await service.adapters.get(caller, f"{task}@{number}")


@router.delete("/v1/tasks/{task}/versions/{number}", status_code=204)
async def delete_version(task: str, number: Whole, caller: CallerOf, service: ServiceOf) -> None:
    """Delete a version that no alias names."""
    await service.adapters.delete(caller, task, number)


@router.get(
    "/v1/tasks/{task}/versions/{number}/export", response_class=StreamingResponse, responses=_TAR
)
async def export_version(
    task: str, number: Whole, caller: CallerOf, service: ServiceOf
) -> StreamingResponse:
    """The version's files as a tar archive, in PEFT's layout where PEFT has the method."""
    exported = await service.adapters.export(caller, f"{task}@{number}")
    return StreamingResponse(
        _archive(exported),
        media_type="application/x-tar",
        headers={
            "content-disposition": f'attachment; filename="{task}-{number}.tar"',
            "content-length": str(_archive_bytes(exported)),
            "x-adapterd-digest": exported.version.digest,
        },
        background=BackgroundTask(exported.close),
    )


@router.get("/v1/tasks/{task}/versions/{number}/lineage")
async def list_lineages(
    task: str, number: Whole, caller: CallerOf, service: ServiceOf
) -> LineagesOut:
    """How the version came to be, each time that its content was published."""
    lineages = await service.adapters.lineages(caller, f"{task}@{number}")
    return LineagesOut(lineages=list(lineages))


@router.get("/v1/tasks/{task}/versions/{number}/report", response_class=HTMLResponse)
async def get_report(
    task: str, number: Whole, caller: CallerOf, service: ServiceOf
) -> HTMLResponse:
    """What its training found out about a version, as a page; as JSON it is in the lineage."""
    page = await service.adapters.report_page(caller, f"{task}@{number}")
    headers = {
        "content-security-policy": content_security_policy(),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(page, headers=headers)


@router.post("/v1/tasks/{task}/versions/{number}/report-links", status_code=201)
async def make_report_link(
    task: str,
    number: Whole,
    caller: CallerOf,
    service: ServiceOf,
    authenticator: AuthenticatorOf,
    response: Response,
) -> ReportLinkOut:
    """Make a link that opens the report's page in a browser without a key, for five minutes.

    `url` has no scheme and no host: put it after the address by which you reach this server.
    """
    await service.adapters.report_page(caller, f"{task}@{number}")
    path = f"/v1/tasks/{task}/versions/{number}/report"
    url, expires_at = authenticator.make_link(caller, path)
    facts = {"ref": f"{task}@{number}", "expires_at": expires_at}
    note("report.linked", "a link to a report was made", caller, **facts)
    response.headers["cache-control"] = "no-store"
    return ReportLinkOut(url=url, expires_at=expires_at)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The file in parts, which the thread that stores them reads."""
    while data := file.read(_CHUNK_BYTES):
        yield data


def _archive(exported: Export) -> Iterator[bytes]:
    """The archive is made while it is sent, so a slow reader needs no second copy of the files."""
    with exported:
        for path in sorted(exported.paths):
            with path.open("rb") as file:
                yield _member(path)
                yield from chunks(file)
            yield bytes(-path.stat().st_size % tarfile.BLOCKSIZE)
        yield bytes(_ending(sum(map(_member_bytes, exported.paths))))


def _archive_bytes(exported: Export) -> int:
    num = sum(map(_member_bytes, exported.paths))
    return num + _ending(num)


def _member_bytes(path: Path) -> int:
    size = path.stat().st_size
    return len(_member(path)) + size + -size % tarfile.BLOCKSIZE


def _ending(num_bytes: int) -> int:
    """The length of the two empty blocks at the end and of the padding of the last record."""
    end = 2 * tarfile.BLOCKSIZE
    return end + -(num_bytes + end) % tarfile.RECORDSIZE


def _member(path: Path) -> bytes:
    """The header has no time or owner: a version has the same archive on every server."""
    member = tarfile.TarInfo(path.name)
    member.size, member.mode = path.stat().st_size, 0o644
    return member.tobuf()


def _object(text: str) -> dict[str, Any]:
    """Parsed as strictly as a version's files, since it becomes part of them and of the digest."""
    try:
        return parse_object(text.encode("utf-8", "surrogatepass"))
    except NotStrictJson as error:
        raise BadCall(f"head_settings cannot be read: {error}.") from None
