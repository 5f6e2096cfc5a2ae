"""Stages what a caller registers, whichever way it comes. Knows names of files, no contents."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from adapters_registry.adapter_files.staging import Staging
from adapters_registry.archives.unpack import is_archive_name
from server.errors import BadCall
from server.service.imports.archive_unpacker import ArchiveUnpacker
from server.service.imports.hub_importer import HubImporter
from server.service.imports.hub_source import HubSource
from server.service.values import Registration
from server.service.views import UPLOAD

#: uploaded files: a name and its chunks; read in one thread, in order
Upload = Iterable[tuple[str, Iterable[bytes]]]


class Receiver:
    """Files one by one, all of them in an archive, or none where a hub is named."""

    def __init__(self, unpacker: ArchiveUnpacker, importer: HubImporter) -> None:
        self._unpacker, self._importer = unpacker, importer

    def receive(
        self,
        staging: Staging,
        registration: Registration,
        upload: Upload,
        tenant: str,
        gone: threading.Event,
    ) -> tuple[str, dict[str, Any]]:
        """The version's source, and what its lineage says of it. Raises BadArtifact, and BadCall
        for files beside an archive or a hub.
        """
        for name in registration.left_out:
            staging.leave_out(name)
        if not registration.source:
            self._stage(staging, upload, gone)
            return UPLOAD, {}
        if any(True for _ in upload):
            raise BadCall(f"The call has the source {registration.source[:80]!r} and files too.")
        source = HubSource.parse(registration.source)
        commit = self._importer.download(staging, source, tenant, gone)
        facts = {"repository": source.repository, "revision": source.revision, "commit": commit}
        return source.at(commit), {"hub": facts}

    def _stage(self, staging: Staging, upload: Upload, gone: threading.Event) -> None:
        archive = ""
        for position, (name, chunks) in enumerate(upload):
            if archive or (position and is_archive_name(name)):
                raise BadCall(
                    f"{(archive or name)[:80]} is an archive and came with other files; send "
                    "either an archive alone, or the files of an adapter."
                )
            if is_archive_name(name):
                archive = name
                self._unpacker.unpack(staging, chunks, gone)
            else:
                staging.write(name, chunks)
