"""Uploaded files: storing, listing, downloading and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from adapters_registry.ref import check_name
from server.audit import note
from server.auth.caller import Caller
from server.errors import BadCall
from server.pools.pools import Pools
from server.service.page import Page, check_limit, page_of
from server.service.views import FileView, file_view
from trainer.errors import BadDataset
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import FileQuery
from trainer.readers.not_text import refuse_other_formats

#: the purpose that promises labelled rows
_ROWS = "fine-tune"
#: OpenAI's purposes; a job accepts a file of any
PURPOSES = ("fine-tune", "assistants", "batch", "evals", "user_data", "vision")
MAX_LIMIT = 10_000


def check_dataset_name(name: str) -> None:
    """The grammar of task names; an id of a file is no name. Raises BadName."""
    check_name(name, "file")
    if name.startswith("file-"):
        raise BadCall(f"The name {name!r} begins with 'file-', as ids of files do; choose another.")


class FileService:
    """Calls the trainer's file store in threads, because its methods block."""

    def __init__(self, files: FileStore, max_bytes: int, pools: Pools) -> None:
        self._pools = pools
        self._files = files
        self._max_bytes = max_bytes

    async def create(
        self,
        caller: Caller,
        filename: str,
        purpose: str,
        chunks: Iterable[bytes],
        name: str = "",
    ) -> FileView:
        """Raises BadDataset for rows in a format that no job reads, and BadName."""
        if name:
            check_dataset_name(name)
        if purpose not in PURPOSES:
            raise BadCall(f"purpose is {purpose[:64]!r}; it must be one of {', '.join(PURPOSES)}.")
        rows = _check_beginning(chunks, filename) if purpose == _ROWS else chunks
        stored = await self._pools.transfers.run_for(
            caller.tenant,
            self._files.put,
            filename,
            purpose,
            rows,
            self._max_bytes,
            name,
        )
        note("file.created", "a file was uploaded", caller, file=stored.id, bytes=stored.bytes)
        return file_view(stored)

    async def get(self, caller: Caller, file_id: str) -> FileView:
        return file_view(await self._pools.lookups.run_for(caller.tenant, self._files.get, file_id))

    async def list(
        self,
        caller: Caller,
        after: str | None = None,
        limit: int = 0,
        query: FileQuery | None = None,
    ) -> Page[FileView]:
        limit = check_limit(limit, MAX_LIMIT)
        files = await self._pools.lookups.run_for(
            caller.tenant,
            self._files.list,
            after,
            limit + 1,
            query,
        )
        return page_of(files, limit, file_view)

    async def content(self, caller: Caller, file_id: str) -> Path:
        path = await self._pools.transfers.run_for(caller.tenant, self._files.path, file_id)
        note("file.downloaded", "a file was downloaded", caller, file=file_id)
        return path

    async def delete(self, caller: Caller, file_id: str) -> None:
        await self._pools.writes.run_for(caller.tenant, self._files.delete, file_id)
        note("file.deleted", "a file was deleted", caller, file=file_id)


def _check_beginning(chunks: Iterable[bytes], filename: str) -> Iterator[bytes]:
    """The chunks, if they can be a file of rows. Raises BadDataset before the first of them."""
    remaining = iter(chunks)
    first = next(remaining, b"")
    if not first:
        raise BadDataset(f"{filename or 'The file'} is empty; pass a file with labelled rows.")
    refuse_other_formats(first, filename or "The file")
    yield first
    yield from remaining
