"""What is told of a job: by its states, by its run, and across releases of the database."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from tests.trainer.build import TENANT, Bench, jsonl, mood_rows
from tests.trainer.test_job_store import claim, submit
from trainer.errors import LeaseLost, StorageFailed, UnknownJob
from trainer.jobs.database import Database
from trainer.jobs.events import Event
from trainer.jobs.lease import Lease
from trainer.jobs.schema import SCHEMA_VERSION
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim


def codes(bench: Bench, job_id: str = "job-1") -> list[str]:
    return [event.code for event in bench.store.list_events(TENANT, job_id, limit=100)]


def told(number: int) -> Event:
    return Event(code=f"x.{number}", message="x", created_at=1.0)


def lease_of(bench: Bench, held: Claim) -> Lease:
    return Lease(bench.store, held, lease_s=10.0, poll_s=5.0, stop=threading.Event())


def test_each_change_of_state_is_told_once(bench: Bench) -> None:
    submit(bench)
    bench.store.give_back(claim(bench), keep_attempt=False)
    bench.store.finish(claim(bench), Status.FAILED, error_code="diverged", error_message="Too far.")
    assert codes(bench) == ["job.queued", "job.running", "job.queued", "job.running", "job.failed"]
    last = bench.store.list_events(TENANT, "job-1", limit=1, newest_first=True)[0]
    assert (last.level, last.message, last.data) == ("error", "Too far.", {"error": "diverged"})
    assert (last.number, last.created_at) == (5, bench.clock.now)


def test_events_come_in_pages_either_way(bench: Bench) -> None:
    submit(bench)
    held = claim(bench)
    bench.store.beat(held, 10.0, [told(n) for n in range(5)])
    page = bench.store.list_events(TENANT, "job-1", after=2, limit=3)
    assert [event.code for event in page] == ["x.0", "x.1", "x.2"]
    back = bench.store.list_events(TENANT, "job-1", after=6, limit=2, newest_first=True)
    assert [event.number for event in back] == [5, 4]
    only = bench.store.list_events(TENANT, "job-1", limit=9, codes=["x.3", "x.9"])
    assert [event.number for event in only] == [6]


def test_what_a_run_tells_arrives_in_order_even_when_it_fails(bench: Bench) -> None:
    submit(bench)
    held = claim(bench)

    def run() -> None:
        with lease_of(bench, held) as lease:
            lease.tell("training.epoch", "Epoch 1.", loss=0.5)
            lease.tell("data.leak", "Rows leak.", "warn", lines=[3, 4])
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run()
    events = bench.store.list_events(TENANT, "job-1", after=2, limit=9)
    assert [(e.code, e.level, e.data) for e in events] == [
        ("training.epoch", "info", {"loss": 0.5}),
        ("data.leak", "warn", {"lines": [3, 4]}),
    ]


def test_a_worker_whose_job_was_taken_over_tells_nothing_more(bench: Bench) -> None:
    submit(bench)
    first = claim(bench)
    bench.clock.now += 11
    claim(bench)
    before = codes(bench)
    with pytest.raises(LeaseLost):
        bench.store.beat(first, 10.0, [told(1)])
    assert codes(bench) == before


def test_what_could_not_be_written_comes_with_the_next_beat(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(bench)
    held = claim(bench)
    beat = bench.store.beat
    full = [StorageFailed(), StorageFailed()]

    def sometimes(*given: object, **news: object) -> object:
        if full:
            raise full.pop()
        return beat(*given, **news)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.store, "beat", sometimes)
    with lease_of(bench, held) as lease:
        lease.tell("x.1", "One.")
        lease._tick()
        lease.tell("x.2", "Two.")
        lease._tick()
    assert codes(bench)[-2:] == ["x.1", "x.2"]


def test_another_tenants_events_are_not_there(bench: Bench) -> None:
    submit(bench)
    with pytest.raises(UnknownJob):
        bench.store.list_events("other", "job-1", limit=10)


def test_a_whole_job_tells_of_its_phases(bench: Bench) -> None:
    job = bench.trainer.submit(bench.spec(jsonl(mood_rows())))
    bench.trainer.run_once()
    assert bench.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    seen = codes(bench, job.id)
    assert seen[:2] == ["job.queued", "job.running"]
    assert "phase.training" in seen
    assert seen[-3:] == ["phase.publishing", "version.published", "job.succeeded"]
    published = bench.store.list_events(TENANT, job.id, limit=1, codes=["version.published"])
    assert published[0].data["ref"] == "mood@1"


@pytest.mark.survival("G7")
def test_a_database_of_the_first_release_is_brought_forward_with_its_jobs(
    bench: Bench, tmp_path: Path
) -> None:
    job = submit(bench)
    bench.store.close()
    path = bench.directory / "jobs.db"
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE job_events")
        db.execute("ALTER TABLE jobs DROP COLUMN pause_requested")
        db.execute("PRAGMA user_version = 0")
    db.close()
    store = JobStore.open(path, bench.clock)
    assert store.job(TENANT, job.id) == job
    assert store.pause(TENANT, job.id).status is Status.PAUSED
    assert [e.code for e in store.list_events(TENANT, job.id, limit=9)] == ["job.paused"]
    store.close()


@pytest.mark.survival("G7")
def test_a_database_of_a_later_release_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "jobs.db") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StorageFailed, match=f"schema {SCHEMA_VERSION + 1}.*up to {SCHEMA_VERSION}"):
        Database.open(tmp_path / "jobs.db")
