"""From a job's files to a checked split, before anything is computed. Runs at submit and again when
the job runs, so that the job trains on what was checked. Knows no slot and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.checks import run_checks
from trainer.data_checks.few_shot import few_shot
from trainer.data_checks.few_steps import enough_steps
from trainer.data_checks.finding import Finding, Severity, notice_finding, refusal_finding
from trainer.data_checks.learning_rate import unusual_learning_rate
from trainer.data_checks.spelling import difference, spelling_key
from trainer.data_checks.subject import Likeness, Subject
from trainer.data_checks.tokens import rewritten_answers
from trainer.dataset.base_fit import find_misfits
from trainer.dataset.encode import head_for
from trainer.dataset.examples import (
    MAX_ERRORS,
    check_trainable,
    columns_of,
    labels_of,
    usable_examples,
)
from trainer.dataset.split import Split, split_examples
from trainer.errors import BadDataset, BadLine, UnlearnedLabels
from trainer.heads import HEAD_DATA
from trainer.jobs.job_files import ReadableFiles
from trainer.jobs.values import JobSpec
from trainer.readers.columns import match_columns
from trainer.readers.example import Example
from trainer.readers.reader import Record, read_rows
from trainer.readers.record import Notice
from trainer.recipe.recipe import writes_after_prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A split that can be trained on, the labels of its head, and findings about it. `spec` is what
    will be trained; with too few rows it is not the requested kind.
    """

    spec: JobSpec
    split: Split
    labels: list[str]
    sha256s: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def warnings(self) -> list[str]:
        return [each.message for each in self.findings if each.severity is Severity.WARNING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of a job; `read` gives its bytes."""

    filename: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The results of all checks of a job's files. There is a split, or at least one error."""

    subject: Subject
    findings: tuple[Finding, ...]
    #: the first error that refuses the job
    error: BadDataset | None
    #: what will be trained; with too few rows not the requested kind
    spec: JobSpec

    @property
    def rows(self) -> dict[str, int]:
        """Numbers of rows in the training file, and in each part of the split if there is one."""
        split = self.subject.split
        return {"file": len(self.subject.examples), **(split.sizes if split else {})}


def prepare(
    files: ReadableFiles,
    spec: JobSpec,
    tokenizer: Tokenizer | None = None,
    likeness: Likeness | None = None,
    *,
    info: EngineInfo | None = None,
) -> Prepared:
    """Raises BadDataset or UnknownFile, and what `likeness` does."""
    examination = examine(sources(files, spec), spec, tokenizer, likeness, info=info)
    return prepared_of(examination, files)


def prepared_of(examination: Examination, files: ReadableFiles) -> Prepared:
    """Raises BadDataset."""
    if examination.error is not None:
        raise examination.error
    subject, spec = examination.subject, examination.spec
    assert subject.split is not None, "what cannot be split is refused"
    return Prepared(
        spec=examination.spec,
        split=subject.split,
        labels=labels_of(subject.examples, spec.head),
        sha256s={file_id: files.get(spec.tenant, file_id).sha256 for file_id in spec.file_ids},
        findings=examination.findings,
    )


def sources(files: ReadableFiles, spec: JobSpec) -> dict[str, Source]:
    """The files of a job by what they are for. Raises UnknownFile."""
    ids = {"train": spec.file_id, "dev": spec.dev_file_id, "test": spec.test_file_id}
    return {
        part: Source(
            filename=files.get(spec.tenant, file_id).filename,
            read=lambda file_id=file_id: files.read(spec.tenant, file_id),  # type: ignore[misc]
        )
        for part, file_id in ids.items()
        if file_id
    }


def examine(
    files: Mapping[str, Source],
    spec: JobSpec,
    tokenizer: Tokenizer | None = None,
    likeness: Likeness | None = None,
    *,
    info: EngineInfo | None = None,
) -> Examination:
    """Runs all checks, even where several of them refuse the job; with `info`, the facts of a base,
    also those that need a base.
    """
    reading = _Reading(spec)
    parts = reading.unify({part: reading.rows(part, source) for part, source in files.items()})
    subject = Subject(
        spec=spec,
        examples=parts["train"],
        dev=parts.get("dev"),
        test=parts.get("test"),
        files={part: source.filename for part, source in files.items()},
        tokenizer=tokenizer,
        info=info,
        likeness=likeness,
        writes=info is not None and writes_after_prompts(info),
    )
    if not reading.errors:
        reading.check(subject)
    if not reading.errors:
        subject = reading.split(subject)
    if not reading.errors and info is not None:
        reading.fit(subject, info)
    findings = run_checks(subject) if subject.examples else []
    effective, changes = _choose_recipe(subject) if not reading.errors else (spec, [])
    return Examination(
        subject=subject,
        findings=(
            *reading.refusals,
            *changes,
            *(unusual_learning_rate(effective) if not reading.errors else []),
            *findings,
            *reading.notices,
        ),
        error=reading.errors[0] if reading.errors else None,
        spec=effective,
    )


def _choose_recipe(subject: Subject) -> tuple[JobSpec, list[Finding]]:
    """What the number of rows makes of the job."""
    spec, few_rows = few_shot(subject)
    spec, few_steps = enough_steps(subject, spec)
    return spec, [*few_rows, *few_steps]


class _Reading:
    """Collects what refuses a job while its files are read, checked and split."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self.errors: list[BadDataset] = []
        self.refusals: list[Finding] = []
        #: findings that do not refuse the job
        self.notices: list[Finding] = []

    def rows(self, part: str, source: Source) -> list[Example]:
        try:
            records = match_columns(
                read_rows(source.read(), source.filename), columns_of(self._spec)
            )
            examples, errors = usable_examples(
                self._collect_notices(source.filename, records), self._spec
            )
        except BadDataset as error:
            examples, errors = [], [error]
        self._refuse(source.filename, [*self._locate(part, source.filename, errors)])
        return examples

    def unify(self, parts: dict[str, list[Example]]) -> dict[str, list[Example]]:
        unified, sentence = HEAD_DATA[self._spec.head].unify(parts)
        if sentence:
            self.notices.append(
                Finding(code="reading_choice", severity=Severity.INFO, message=sentence)
            )
        return {part: [*rows] for part, rows in unified.items()}

    def _collect_notices(
        self, filename: str, rows: Iterable[Record | BadLine | Notice]
    ) -> Iterator[Record | BadLine]:
        """The rows without the notices, which are collected."""
        for row in rows:
            if isinstance(row, Notice):
                self.notices.append(notice_finding(filename, row))
            else:
                yield row

    def _locate(
        self, part: str, filename: str, errors: Iterable[BadDataset]
    ) -> Iterator[BadDataset]:
        """Names the dev or test file in errors, because a line number does not say which file."""
        for error in errors:
            if part != "train":
                error.args = (f"{filename}: {error}",)
            yield error

    def check(self, subject: Subject) -> None:
        head = self._spec.head
        try:
            check_trainable(subject.examples, head)
        except BadDataset as error:
            self._refuse(subject.file, [error])
        known = set(labels_of(subject.examples, head))
        for part, rows in (("dev", subject.dev), ("test", subject.test)):
            if new := sorted(set(labels_of(rows or [], head)) - known):
                name = subject.file_of(part)
                lacking = f"{name} has labels that the training file lacks: {', '.join(new[:5])}."
                lacking += _variants(new, known)
                self._refuse(name, [UnlearnedLabels(lacking)])

    def split(self, subject: Subject) -> Subject:
        spec = self._spec
        try:
            split = split_examples(
                subject.examples,
                head=spec.head,
                seed=spec.split_seed,
                dev_share=spec.settings.dev_share,
                test_share=spec.settings.test_share,
                dev=subject.dev,
                test=subject.test,
            )
        except BadDataset as error:
            self._refuse(subject.file, [error])
            return subject
        return replace(subject, split=split)

    def fit(self, subject: Subject, info: EngineInfo) -> None:
        """Whether the base has tokens for every row."""
        spec, tokenizer = self._spec, subject.tokenizer
        assert tokenizer is not None, "a base has a tokenizer"
        labels = labels_of(subject.examples, spec.head)
        pooling = spec.pooling or info.poolings[spec.head][0]
        head = head_for(spec.head, pooling, labels, subject.examples, spec.settings)
        limit = spec.settings.max_tokens
        parts = {"train": subject.examples, "dev": subject.dev, "test": subject.test}
        for part, rows in parts.items():
            unfit = find_misfits(rows or [], head, info, tokenizer, limit, MAX_ERRORS)
            name = subject.file_of(part)
            self._refuse(name, [*self._locate(part, name, unfit.refused)])
            self.notices += rewritten_answers(name, unfit.rewritten)

    def _refuse(self, filename: str, errors: list[BadDataset]) -> None:
        self.errors += errors
        for code in dict.fromkeys(error.code for error in errors):
            self.refusals.append(refusal_finding(filename, [e for e in errors if e.code == code]))


def _variants(new: list[str], known: set[str]) -> str:
    """Sentences about labels that the training file has in another spelling."""
    by_key = {spelling_key(label): label for label in sorted(known)}
    pairs = [(label, by_key[key]) for label in new if (key := spelling_key(label)) in by_key]
    return "".join(f" {a!r} and its {b!r} {difference([a, b])}." for a, b in pairs[:5])
