"""Uploaded files: storing, listing, downloading and deleting them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from server.audit import note
from server.auth.caller import Caller
from server.errors import BadCall
from server.pools.pools import Pools
from server.service.page import Page, check_limit, page_of
from server.service.views import FileView, file_view
from trainer.errors import BadDataset
from trainer.jobs.file_store import FileStore
from trainer.readers.not_text import refuse_other_formats

#: the purpose that promises labelled rows
_ROWS = "fine-tune"
#: OpenAI's purposes; a job accepts a file of any
PURPOSES = ("fine-tune", "assistants", "batch", "evals", "user_data", "vision")
MAX_LIMIT = 10_000


class FileService:
    """Calls the trainer's file store in threads, because its methods block."""

    def __init__(self, files: FileStore, max_bytes: int, pools: Pools) -> None:
        self._pools = pools
        self._files = files
        self._max_bytes = max_bytes

    async def create(
        self, caller: Caller, filename: str, purpose: str, chunks: Iterable[bytes]
    ) -> FileView:
        """Raises BadDataset for rows in a format that no job reads."""
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
        *,
        purpose: str | None = None,
        oldest_first: bool = False,
    ) -> Page[FileView]:
        limit = check_limit(limit, MAX_LIMIT)
        files = await self._pools.lookups.run_for(
            caller.tenant,
            self._files.list,
            after,
            limit + 1,
            purpose=purpose,
            oldest_first=oldest_first,
        )
        return page_of(files, limit, file_view)

    async def content(self, caller: Caller, file_id: str) -> Path:
        path = await self._pools.lookups.run_for(caller.tenant, self._files.path, file_id)
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
        raise BadDataset(f"{filename or 'The file'} is empty.")
    refuse_other_formats(first, filename or "The file")
    yield first
    yield from remaining
