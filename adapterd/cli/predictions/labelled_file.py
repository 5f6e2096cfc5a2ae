"""A labelled file: its rows as the trainer reads them, and which of them a version was trained on.

Needs the platform, whose readers, heads and split it uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapterd.cli.platform_packages import require_platform
from adapterd.errors import BadSetting, Refused
from adapterd.values import Version

if TYPE_CHECKING:
    from trainer.dataset.split import Split
    from trainer.jobs.values import JobSpec
    from trainer.readers.example import Example

_MAX_BAD_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoice:
    """The columns that the command names; others are those of the version's training file."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFile:
    """Its usable rows, and sentences about the others."""

    name: str
    sha256: str
    #: those that are evaluated
    examples: Sequence[Example]
    all_examples: Sequence[Example]
    notes: tuple[str, ...]
    #: the split whose test rows alone are evaluated
    held_out: _Split | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """How a version's only file was split into train, dev and test rows."""

    head: str
    seed: int
    dev_share: float
    test_share: float


def read_labelled_file(
    path: Path, version: Version, columns: ColumnChoice, *, held_out: bool
) -> LabelledFile:
    """Raises BadSetting and Refused. With `held_out`, only the version's own test rows."""
    require_platform()
    from trainer.dataset.examples import columns_of, usable_examples
    from trainer.errors import BadDataset
    from trainer.readers.columns import match_columns
    from trainer.readers.reader import read_rows
    from trainer.readers.record import Notice
    from trainer.wording import count_of

    content, spec = _read(path), _job_spec(version, columns)
    try:
        rows = match_columns(read_rows(content, path.name), columns_of(spec))
        records = (row for row in rows if not isinstance(row, Notice))
        examples, errors = usable_examples(records, spec)
    except BadDataset as error:
        raise Refused(str(error)) from error
    if not examples:
        raise Refused(f"{path.name} has no usable row. {errors[0]}")
    examples = _as_trained(examples, version)
    bad = " ".join(map(str, errors[:_MAX_BAD_LINES]))
    file = LabelledFile(
        name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples,
        all_examples=examples,
        notes=(f"{count_of(len(errors), 'error')} in {path.name}; these rows are left out: {bad}",)
        if errors
        else (),
    )
    return _hold_out(file, version) if held_out else file


def count_parts(file: LabelledFile, version: Version) -> dict[str, int] | None:
    """How many rows of the file are in each part of the version's split; None if the version was
    not trained on just this file.
    """
    split = _find_split(file, version)
    return None if split is None else _split_rows(file, split).sizes


def describe_overlap(file: LabelledFile, version: Version) -> str | None:
    """Whether rows of the file were trained on, as far as the lineage tells; None if none was."""
    ref, split = name_version(version), _find_split(file, version)
    if split is not None:
        if split == file.held_out:
            return None
        sizes = _split_rows(file, split).sizes
        return (
            f"{ref} was trained on {file.name}: {sizes['train']:,} of its rows are training rows, "
            f"so the figures are too high. Pass --held-out for its {sizes['test']:,} test rows "
            "alone."
        )
    sha256s = version.lineage.get("dataset", {}).get("sha256", {}).values()
    if file.sha256 in sha256s:
        return (
            f"{file.name} is one of the files that {ref} was made from; unless it is the test "
            "file, the figures are too high."
        )
    if not sha256s:
        return f"What {ref} was trained on is not known, so these rows may be training rows."
    return (
        f"{ref} was trained on another file; its lineage has no digests of single rows, so some "
        "of these rows may be training rows too."
    )


def name_version(version: Version) -> str:
    return f"{version.task}@{version.version}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}.") from error


def _job_spec(version: Version, columns: ColumnChoice) -> JobSpec:
    from trainer.jobs.values import JobSpec

    trained: dict[str, Any] = version.lineage.get("dataset", {}).get("columns", {})
    chosen = {
        "text_column": columns.text or trained.get("text"),
        "text_pair_column": columns.text_pair or trained.get("text_pair"),
        "label_column": columns.label or trained.get("label"),
    }
    fields: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    return JobSpec(tenant="", task=version.task, file_id="", head=version.head, **fields)


def _as_trained(examples: list[Example], version: Version) -> list[Example]:
    """With labels in the notation of a training, where the version does not know them as they are
    written: it reads `1.0` as `1`.
    """
    from trainer.heads import HEAD_DATA

    written = {example.label for example in examples} if version.labels else set()
    if written <= {*version.labels}:
        return examples
    unified, _ = HEAD_DATA[version.head].unify({"file": examples})
    return [*unified["file"]]


def _hold_out(file: LabelledFile, version: Version) -> LabelledFile:
    split = _find_split(file, version)
    if split is None:
        raise BadSetting(
            f"{file.name} is not the training file of {name_version(version)}, so it has none of "
            "its test rows; leave out --held-out."
        )
    return replace(file, examples=_split_rows(file, split).test, held_out=split)


def _find_split(file: LabelledFile, version: Version) -> _Split | None:
    lineage = version.lineage
    sha256s = list(lineage.get("dataset", {}).get("sha256", {}).values())
    settings = lineage.get("settings", {})
    if sha256s != [file.sha256] or "test_share" not in settings:
        return None
    return _Split(
        head=version.head,
        seed=int(lineage.get("split_seed", 0)),
        dev_share=settings["dev_share"],
        test_share=settings["test_share"],
    )


def _split_rows(file: LabelledFile, split: _Split) -> Split:
    from trainer.dataset.split import split_examples

    return split_examples(
        list(file.all_examples),
        head=split.head,
        seed=split.seed,
        dev_share=split.dev_share,
        test_share=split.test_share,
    )
