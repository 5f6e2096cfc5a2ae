"""Small real objects for the trainer's tests: files, examples, a trainer over the fake engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.storage.shared_state import SharedState
from engine.port import EnginePort
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.storage import Storage
from trainer.dataset.examples import usable_examples
from trainer.errors import BadLine
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileRecord, Job, JobSpec, TrainingSettings
from trainer.readers.example import Example
from trainer.readers.record import Record
from trainer.trainer import Trainer
from trainer.training.checkpoints import Checkpoints

TENANT = "acme"


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def mood_rows(num: int = 60) -> list[dict[str, Any]]:
    """Two classes that a bag of letters can tell apart."""
    words = {"glad": "yay yay happy", "sad": "boo boo gloom"}
    labels = ["glad", "sad"] * (num // 2)
    return [{"text": f"{words[label]} {i}", "label": label} for i, label in enumerate(labels)]


def value_rows(num: int = 60) -> list[dict[str, Any]]:
    return [{"text": "z" * (i % 7 + 1) + f" {i}", "label": float(i % 7)} for i in range(num)]


def tag_rows(num: int = 40) -> list[dict[str, Any]]:
    return [
        {"tokens": ["see", f"Zoe{i}", "now"], "ner_tags": ["O", "B-person", "O"]}
        for i in range(num)
    ]


def topic_rows(num: int = 60) -> list[dict[str, Any]]:
    """Any number of labels a row."""
    words = {"cost": "coin", "time": "hour"}
    chosen = [[], ["cost"], ["time"], ["cost", "time"]]
    return [
        {
            "text": " ".join(["x", *(words[w] for w in chosen[i % 4]), str(i)]),
            "label": chosen[i % 4],
        }
        for i in range(num)
    ]


def question_rows(num: int = 40) -> list[dict[str, Any]]:
    """Every fourth context has no answer."""
    rows = []
    for i in range(num):
        context = f"see Zoe{i} now" if i % 4 else f"nobody is here {i}"
        answers = [{"text": f"Zoe{i}", "start": 4}] if i % 4 else []
        rows.append({"question": "who?", "context": context, "answers": answers})
    return rows


def pair_rows(num: int = 60) -> list[dict[str, Any]]:
    """Texts and their partners."""
    return [{"text": f"q{i} q{i}", "pair": f"q{i} a", "label": None} for i in range(num)]


def relevance_rows(num: int = 60) -> list[dict[str, Any]]:
    return [
        {"text": f"q{i}", "text_pair": "yes yes" if i % 2 else "no no no", "label": i % 2}
        for i in range(num)
    ]


def examples(labels: Sequence[Any], texts: Sequence[str] | None = None) -> list[Example]:
    named = texts or [f"text {i}" for i in range(len(labels))]
    return [
        Example(line=i + 1, text=text, label=label)
        for i, (text, label) in enumerate(zip(named, labels, strict=True))
    ]


def read_examples(records: Iterable[Record | BadLine], spec: JobSpec) -> list[Example]:
    """Every record, checked. Raises BadDataset, naming the first line that cannot be used."""
    usable, errors = usable_examples(records, spec)
    if errors:
        raise errors[0]
    return usable


def watch(trainer: Trainer, job_id: str) -> Iterator[Job]:
    """The job now and after each change, until it ends."""
    seen = -1
    while True:
        job = trainer.get(TENANT, job_id)
        if job.revision != seen:
            yield job
        if job.status.ended:
            return
        seen = job.revision
        time.sleep(0.02)


@dataclass(slots=True, kw_only=True)
class Clock:
    """Time that moves only when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True, kw_only=True)
class TrainerEnv:
    """A trainer with everything it stands on, in one directory."""

    directory: Path
    port: EnginePort = field(default_factory=FakeEngine)
    clock: Clock = field(default_factory=Clock)
    #: none by default: its child costs seconds, and few tests are about it
    report_timeout_s: float = 0.0
    checkpoint_s: float = 30.0
    max_rows: int = 50_000_000
    #: what the trainer measures by; one that stands still makes every checkpoint free
    pace_clock: Callable[[], float] = time.monotonic
    storage: Storage = field(default_factory=Storage)
    #: none: as the database decides
    are_checkpoints_shared: bool | None = None
    lease_s: float = 5.0
    #: leases by the clocks that a server has, and not by the test's
    has_real_leases: bool = False
    state: SharedState = field(init=False)
    registry: Registry = field(init=False)
    store: JobStore = field(init=False)
    files: FileStore = field(init=False)
    trainer: Trainer = field(init=False)

    def __post_init__(self) -> None:
        self.state = SharedState.open(
            self.directory,
            database_url=self.storage.database_url,
            blobs_url=self.storage.blobs_url,
        )
        self.registry = Registry(self.state)
        self.store = self._open_store()
        blobs = self.state.blobs
        self.files = FileStore(blobs, self.store, self.directory / "uploads", self.clock)
        checkpoints = Checkpoints(
            self.directory / "checkpoints", self.store, blobs,
            are_shared=self.are_checkpoints_shared,
        )  # fmt: skip
        info = self.port.info
        tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
        self.trainer = Trainer(
            self.port,
            self.registry,
            self.store,
            self.files,
            tokenizer,
            self.pace_clock,
            poll_s=0.02,
            lease_s=self.lease_s,
            report_timeout_s=self.report_timeout_s,
            checkpoints=checkpoints,
            checkpoint_s=self.checkpoint_s,
            max_rows=self.max_rows,
        )

    def _open_store(self) -> JobStore:
        database, clock = self.state.database, self.clock
        if self.has_real_leases:
            return JobStore(database)
        return JobStore(database, clock, lease_clock=lambda _: clock(), monotonic=clock)

    def outlast(self, lease_s: float) -> None:
        """So much time goes by, and again after a first look: the next one sees that the worker of
        the one job is lost.
        """
        self.clock.now += lease_s
        assert self.store.claim("looks once", lease_s) is None
        self.clock.now += lease_s

    def upload(self, content: bytes, filename: str = "rows.jsonl") -> FileRecord:
        return self.files.put(TENANT, filename, "train", [content], 10**7)

    def spec(self, content: bytes, filename: str = "rows.jsonl", **given: Any) -> JobSpec:
        settings = TrainingSettings.parse({"epochs": 2, "seeds": 1, **given.pop("settings", {})})
        # few rows are what most tests have; what they would change is not what the tests are about
        chosen = ("kind", "epochs", "batch_rows", "patience")
        named = {"tenant": TENANT, "task": "mood", "settings": settings, "chosen": chosen}
        named |= given
        return JobSpec(file_id=self.upload(content, filename).id, **named)

    def close(self) -> None:
        self.state.close()
