"""Where a version comes from: what its owner asked for, the files, the rows of each part, the base,
the code, the software and the machine. It goes into the lineage, and tells how to train the same
again. Trains nothing.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from engine.port import EngineInfo
from trainer.dataset.split import Split
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import JobSpec
from trainer.pipeline.code_version import describe_code
from trainer.readers.example import Example

_PACKAGES = ("adapterd", "torch", "transformers")
_CPU_INFO = Path("/proc/cpuinfo")


def describe_provenance(spec: JobSpec, files: FileStore, info: EngineInfo) -> dict[str, Any]:
    """`spec` is the job as it was submitted. The keys are those of the lineage."""
    return {
        "request": describe_request(spec),
        "files": _list_files(spec, files),
        # every training starts from the base alone
        "parent": None,
        "base": {"name": info.base, "fingerprint": info.fingerprint},
        "numerics": {"dtype": info.dtype, "device": info.device, "exact": info.exact},
        "code": describe_code(),
        "software": list_software(),
        "machine": {
            "processor": name_processor(),
            "device": info.device,
            "threads": info.num_threads,
            "dtype": info.dtype,
        },
    }


def describe_request(spec: JobSpec) -> dict[str, Any]:
    """What the job's owner chose; everything else was left to its default."""
    plain, short = (
        spec.settings.model_dump(mode="json", exclude_defaults=without) for without in (False, True)
    )
    return {
        "head": spec.head,
        "kind": spec.kind if "kind" in spec.chosen else "",
        "pooling": spec.pooling,
        "settings": {name: short.get(name, plain[name]) for name in spec.chosen if name in plain},
    }


def describe_splits(split: Split) -> dict[str, dict[str, Any]]:
    """By part of the split: how many rows, and a sha256 that is the same for the same rows in any
    order.
    """
    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    return {part: {"rows": len(rows), "sha256": _hash_rows(rows)} for part, rows in parts.items()}


def hash_settings(settings: Mapping[str, Any]) -> str:
    """Of the settings as canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()


def _hash_rows(rows: Sequence[Example]) -> str:
    """Without the numbers of their lines, which depend on the order."""
    digests = sorted(
        hashlib.sha256(msgspec.json.encode({**asdict(row), "line": 0}, order="sorted")).digest()
        for row in rows
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()


def list_software() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # a base without transformers needs none
            versions[name] = version(name)
    return versions


def name_processor(cpu_info: Path = _CPU_INFO) -> str:
    """As Linux names it, else as Python does."""
    with suppress(OSError):
        for line in cpu_info.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _list_files(spec: JobSpec, files: FileStore) -> Mapping[str, dict[str, str]]:
    """By what they are for."""
    ids = {"train": spec.file_id, "dev": spec.dev_file_id, "test": spec.test_file_id}
    records = {part: files.get(spec.tenant, file_id) for part, file_id in ids.items() if file_id}
    return {
        part: {"filename": record.filename, "sha256": record.sha256}
        for part, record in records.items()
    }
