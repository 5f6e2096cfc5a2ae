"""Archives as other tools make them, and as nobody should."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence

import zstandard

from tests.registry.build import config, lora

ADAPTER = {"adapter_config.json": config(), "adapter_model.safetensors": lora()}


def zip_of(files: Mapping[str, bytes] = ADAPTER, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    return zip_entries(list(files.items()), compression)


def zip_entries(
    entries: Sequence[tuple[str | zipfile.ZipInfo, bytes]], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Names may come twice, and an entry may be of any kind."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return stream.getvalue()


def tar_of(files: Mapping[str, bytes] = ADAPTER, form: int = tarfile.PAX_FORMAT) -> bytes:
    return tar_entries([(member(name, content), content) for name, content in files.items()], form)


def tar_entries(
    entries: Sequence[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT
) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    return info


def tar_gz_of(files: Mapping[str, bytes] = ADAPTER) -> bytes:
    return gzip.compress(tar_of(files))


def tar_zst_of(files: Mapping[str, bytes] = ADAPTER) -> bytes:
    return zstandard.compress(tar_of(files))


PACKERS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "zip": zip_of, "tar": tar_of, "tar.gz": tar_gz_of, "tar.zst": tar_zst_of,
    "gnu.tar": lambda files: tar_of(files, tarfile.GNU_FORMAT),
    "stored.zip": lambda files: zip_of(files, zipfile.ZIP_STORED),
}  # fmt: skip
