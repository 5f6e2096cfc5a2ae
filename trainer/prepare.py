"""From a job's files to a checked split: all that can be known before anything is computed. Runs at
submit, and again when the job runs, so that what was promised at submit is what is trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from trainer.dataset import check_trainable, labels_of, read_examples
from trainer.errors import BadDataset, UnlearnedLabels
from trainer.example import Example
from trainer.files import FileStore
from trainer.split import Split, split_examples
from trainer.table import read_records
from trainer.values import JobSpec

FEW_ROWS = 50
FEW_DEV_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A split that can be trained on, the labels of its head, and what its owner should know about
    it.
    """

    split: Split
    labels: list[str]
    sha256s: dict[str, str]
    warnings: list[str]


def prepare(files: FileStore, spec: JobSpec) -> Prepared:
    """Raises BadDataset or UnknownFile."""
    examples = _read(files, spec, spec.file_id)
    check_trainable(examples, spec.head)
    labels = labels_of(examples, spec.head)
    dev = _read_given(files, spec, spec.dev_file_id, labels)
    test = _read_given(files, spec, spec.test_file_id, labels)
    split = split_examples(
        examples, head=spec.head, seed=spec.split_seed, dev_share=spec.settings.dev_share,
        test_share=spec.settings.test_share, dev=dev, test=test,
    )  # fmt: skip
    sha256s = {file_id: files.get(spec.tenant, file_id).sha256 for file_id in spec.file_ids}
    return Prepared(
        split=split, labels=labels, sha256s=sha256s, warnings=_warnings(examples, split)
    )


def _read(files: FileStore, spec: JobSpec, file_id: str) -> list[Example]:
    filename = files.get(spec.tenant, file_id).filename
    return read_examples(read_records(files.read(spec.tenant, file_id), filename), spec)


def _read_given(
    files: FileStore, spec: JobSpec, file_id: str | None, labels: list[str]
) -> list[Example] | None:
    if file_id is None:
        return None
    filename = files.get(spec.tenant, file_id).filename
    try:
        examples = _read(files, spec, file_id)
    except BadDataset as error:
        # three files may be in play, and a line number alone does not say whose line it is
        error.args = (f"{filename}: {error}",)
        raise
    if new := sorted(set(labels_of(examples, spec.head)) - set(labels)):
        raise UnlearnedLabels(
            f"{filename} has labels that the training file lacks: {', '.join(new[:5])}."
        )
    return examples


def _warnings(examples: list[Example], split: Split) -> list[str]:
    found = [
        _few_rows(examples),
        _few_dev_rows(split),
        _duplicates(examples),
        _contradictions(examples),
    ]
    if split.num_leaked:
        found.append(
            f"{split.num_leaked} training rows were left out: the dev or test file has their text."
        )
    return [warning for warning in found if warning]


def _few_rows(examples: list[Example]) -> str | None:
    if len(examples) >= FEW_ROWS:
        return None
    return (
        f"{len(examples)} rows are few: the metrics will move by chance, and more rows help most."
    )


def _few_dev_rows(split: Split) -> str | None:
    if len(split.dev) >= FEW_DEV_ROWS:
        return None
    if not split.dev:
        return "There are no dev rows, so the last epoch is kept rather than the best."
    return f"The best epoch is chosen on {len(split.dev)} dev rows only."


def _duplicates(examples: list[Example]) -> str | None:
    num = len(examples) - len({row.group for row in examples})
    return f"{num} rows repeat the text of another; repeats are kept in one split." if num else None


def _contradictions(examples: list[Example]) -> str | None:
    labels: defaultdict[str, Counter[object]] = defaultdict(Counter)
    for row in examples:
        labels[row.group][row.label] += 1
    num = sum(len(counts) > 1 for counts in labels.values())
    return f"{num} texts occur with different labels." if num else None
