"""What is told of a job: by its states, by its run, and across releases of the database."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from adapters_registry.storage import schema
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from tests.trainer.storage import BOTH
from tests.trainer.test_job_store import claim, submit
from trainer.errors import LeaseLost, StorageFailed, UnknownJob
from trainer.jobs.events import Event
from trainer.jobs.lease import Lease
from trainer.jobs.states import Status
from trainer.jobs.values import Claim

STORAGES = BOTH
#: as the release before wrote it
OLD_JOB = f"""
    INSERT INTO jobs (id, tenant, spec, status, phase, progress, created_at, attempt, result,
        revision, cancel_requested, pause_requested, token)
    VALUES (:id, '{TENANT}', :spec, 'queued', 'waiting', 0, 0, 0, '{{}}', 0, FALSE, FALSE, 0)
"""


def codes(trainer_env: TrainerEnv, job_id: str = "job-1") -> list[str]:
    return [event.code for event in trainer_env.store.list_events(TENANT, job_id, limit=100)]


def told(number: int) -> Event:
    return Event(code=f"x.{number}", message="x", created_at=1.0)


def lease_of(trainer_env: TrainerEnv, held: Claim) -> Lease:
    return Lease(trainer_env.store, held, lease_s=10.0, poll_s=5.0, stop=threading.Event())


def test_each_change_of_state_is_told_once(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    trainer_env.store.give_back(claim(trainer_env), keep_attempt=False)
    trainer_env.store.finish(
        claim(trainer_env), Status.FAILED, error_code="diverged", error_message="Too far."
    )
    assert codes(trainer_env) == [
        "job.queued",
        "job.running",
        "job.queued",
        "job.running",
        "job.failed",
    ]
    last = trainer_env.store.list_events(TENANT, "job-1", limit=1, newest_first=True)[0]
    assert (last.level, last.message, last.data) == ("error", "Too far.", {"error": "diverged"})
    assert (last.number, last.created_at) == (5, trainer_env.clock.now)


def test_events_come_in_pages_either_way(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    trainer_env.store.beat(held, 10.0, [told(n) for n in range(5)])
    page = trainer_env.store.list_events(TENANT, "job-1", after=2, limit=3)
    assert [event.code for event in page] == ["x.0", "x.1", "x.2"]
    back = trainer_env.store.list_events(TENANT, "job-1", after=6, limit=2, newest_first=True)
    assert [event.number for event in back] == [5, 4]
    only = trainer_env.store.list_events(TENANT, "job-1", limit=9, codes=["x.3", "x.9"])
    assert [event.number for event in only] == [6]


def test_what_a_run_tells_arrives_in_order_even_when_it_fails(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    held = claim(trainer_env)

    def run() -> None:
        with lease_of(trainer_env, held) as lease:
            lease.emit("training.epoch", "Epoch 1.", loss=0.5)
            lease.emit("data.leak", "Rows leak.", "warn", lines=[3, 4])
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run()
    events = trainer_env.store.list_events(TENANT, "job-1", after=2, limit=9)
    assert [(e.code, e.level, e.data) for e in events] == [
        ("training.epoch", "info", {"loss": 0.5}),
        ("data.leak", "warn", {"lines": [3, 4]}),
    ]


def test_a_worker_whose_job_was_taken_over_tells_nothing_more(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    first = claim(trainer_env)
    trainer_env.outlast(11.0)
    claim(trainer_env)
    before = codes(trainer_env)
    with pytest.raises(LeaseLost):
        trainer_env.store.beat(first, 10.0, [told(1)])
    assert codes(trainer_env) == before


def test_what_could_not_be_written_comes_with_the_next_beat(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    beat = trainer_env.store.beat
    full = [StorageFailed(), StorageFailed()]

    def sometimes(*given: object, **news: object) -> object:
        if full:
            raise full.pop()
        return beat(*given, **news)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer_env.store, "beat", sometimes)
    with lease_of(trainer_env, held) as lease:
        lease.emit("x.1", "One.")
        lease._tick()
        lease.emit("x.2", "Two.")
        lease._tick()
    assert codes(trainer_env)[-2:] == ["x.1", "x.2"]


def test_another_tenants_events_are_not_there(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    with pytest.raises(UnknownJob):
        trainer_env.store.list_events("other", "job-1", limit=10)


def test_a_whole_job_tells_of_its_phases(trainer_env: TrainerEnv) -> None:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    seen = codes(trainer_env, job.id)
    assert seen[:2] == ["job.queued", "job.running"]
    assert "phase.training" in seen
    assert seen[-3:] == ["phase.publishing", "version.published", "job.succeeded"]
    published = trainer_env.store.list_events(TENANT, job.id, limit=1, codes=["version.published"])
    assert published[0].data["ref"] == "mood@1"


@pytest.mark.survival("G7")
def test_jobs_of_the_schema_before_are_found_by_their_notes(
    trainer_env: TrainerEnv,
) -> None:
    engine = trainer_env.state.database.engine
    schema.downgrade(engine, "0002")
    for number, spec in enumerate(('{"metadata": {"team": "red"}}', '{"metadata": 7}', "{")):
        row = {"id": f"job-{number}", "spec": spec}
        with trainer_env.state.database.write() as db:
            db.execute(sa.text(OLD_JOB), row)
    schema.upgrade(engine)
    found = trainer_env.store.list_jobs(TENANT, None, 9, {"team": "red"})
    assert [job.id for job in found] == ["job-0"]
