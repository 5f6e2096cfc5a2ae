"""How a stored file is named where a path is expected: `dataset:reviews`. Knows no file."""

from __future__ import annotations

from pathlib import Path

_DATASET = "dataset:"


def dataset_name(source: Path | str) -> str | None:
    """The name or id after `dataset:`; None for a path."""
    text = str(source)
    return text.removeprefix(_DATASET) if text.startswith(_DATASET) else None
