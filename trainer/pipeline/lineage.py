"""Where a version comes from, for its lineage: all that it takes to make the same again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.jobs.values import JobSpec


def origin(job_id: str, spec: JobSpec, sha256s: Mapping[str, str]) -> dict[str, Any]:
    """Of a search, `spec` is what was chosen; `sha256s` are the files'."""
    columns = {
        "text": spec.text_column,
        "text_pair": spec.text_pair_column,
        "label": spec.label_column,
    }
    return {
        "job": job_id,
        "dataset": {"sha256": dict(sha256s), "columns": columns},
        "split_seed": spec.split_seed,
        "kind": spec.kind,
        "settings": spec.settings.model_dump(),
    }
