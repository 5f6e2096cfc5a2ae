"""Files over HTTP, in the shape of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from starlette.responses import FileResponse

from server.errors import BadParameter
from server.http_api.route import CallerOf, FileRoute, ServiceOf
from server.http_api.schemas import FileDeletedOut, FileOut, FilesOut, Whole
from server.http_api.versions import chunks
from trainer.jobs.values import FileQuery

router = APIRouter(route_class=FileRoute, tags=["files"])
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    }
}


@router.post("/v1/files")
async def create_file(
    caller: CallerOf,
    service: ServiceOf,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[str, Form()],
    anchor: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[str | None, Form(alias="expires_after[seconds]")] = None,
    name: Annotated[
        str, Form(description="a name to find the file by; it moves here from another file")
    ] = "",
) -> FileOut:
    """Upload labelled rows (JSONL or CSV) for a job."""
    if anchor is not None or seconds is not None:
        raise BadParameter("Files here do not expire; delete them.", param="expires_after")
    view = await service.files.create(caller, file.filename or "", purpose, chunks(file.file), name)
    return FileOut.of(view)


@router.get("/v1/files")
async def list_files(
    caller: CallerOf,
    service: ServiceOf,
    after: str | None = None,
    limit: Whole = 0,
    order: Literal["asc", "desc"] = "desc",
    purpose: str = "",
    name: str = "",
    sha256: str = "",
    id_prefix: str = "",
) -> FilesOut:
    """Your files, newest first unless `order` is `asc`; by name, digest or start of the id."""
    query = FileQuery(
        id_prefix=id_prefix,
        name=name,
        sha256=sha256,
        purpose=purpose,
        oldest_first=order == "asc",
    )
    page = await service.files.list(caller, after, limit, query)
    data = [FileOut.of(view) for view in page.items]
    return FilesOut(
        data=data,
        has_more=page.has_more,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
    )


@router.get("/v1/files/{file_id}")
async def get_file(file_id: str, caller: CallerOf, service: ServiceOf) -> FileOut:
    """One file."""
    return FileOut.of(await service.files.get(caller, file_id))


@router.get("/v1/files/{file_id}/content", response_class=FileResponse, responses=_BYTES)
async def get_content(file_id: str, caller: CallerOf, service: ServiceOf) -> FileResponse:
    """A file's bytes."""
    path = await service.files.content(caller, file_id)
    return FileResponse(path, media_type="application/octet-stream", filename=file_id)


@router.delete("/v1/files/{file_id}", response_model_exclude_none=True)
async def delete_file(
    file_id: str,
    caller: CallerOf,
    service: ServiceOf,
    versions: bool = False,
    dry_run: bool = False,
) -> FileDeletedOut:
    """Delete a file that no queued or running job needs.

    With `versions`, every upload of its content goes, every version made from it, the aliases that
    name them, and what jobs noted of it; with `dry_run` too, nothing goes and the answer says what
    would.
    """
    if versions:
        erasure = await service.erasures.erase_file(caller, file_id, dry_run=dry_run)
        return FileDeletedOut(id=file_id, deleted=not dry_run, erasure=erasure)
    if dry_run:
        raise BadParameter("dry_run goes with versions=true.", param="dry_run")
    await service.files.delete(caller, file_id)
    return FileDeletedOut(id=file_id)
