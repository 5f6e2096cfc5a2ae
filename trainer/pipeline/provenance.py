"""Where a version comes from: what its owner asked for, the files' names, the software and the
machine. It goes into the lineage, and tells how to train the same again. Trains nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.port import EngineInfo
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import JobSpec

_PACKAGES = ("adapterd", "torch", "transformers")
_CPU_INFO = Path("/proc/cpuinfo")


def describe_provenance(spec: JobSpec, files: FileStore, info: EngineInfo) -> dict[str, Any]:
    """`spec` is the job as it was submitted. The keys are those of the lineage."""
    return {
        "request": describe_request(spec),
        "files": _list_files(spec, files),
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
