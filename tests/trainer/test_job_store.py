"""Jobs in the store: legal moves, leases and fencing tokens."""

from __future__ import annotations

import threading

import pytest

from tests.trainer.build import TENANT, TrainerEnv
from tests.trainer.storage import BOTH
from trainer.errors import FileInUse, JobEnded, LeaseLost, UnknownFile, UnknownJob
from trainer.jobs.events import CHECKPOINT, Event
from trainer.jobs.states import TRANSITIONS, JobSignal, Phase, Status, sources
from trainer.jobs.values import Claim, Job, JobSpec

STORAGES = BOTH


def submit(trainer_env: TrainerEnv, job_id: str = "job-1") -> Job:
    spec = JobSpec(tenant=TENANT, task="mood", file_id=trainer_env.upload(b"x").id)
    return trainer_env.store.submit(job_id, spec)


def claim(trainer_env: TrainerEnv) -> Claim:
    claimed = trainer_env.store.claim("worker", 10.0)
    assert claimed is not None
    return claimed


def status(trainer_env: TrainerEnv, job_id: str = "job-1") -> Status:
    return trainer_env.store.job(TENANT, job_id).status


def test_every_state_is_drawn_and_ends_do_not_move() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert [s for s in Status if s.ended] == [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]
    assert sources(Status.RUNNING) == [Status.QUEUED]


def test_jobs_are_claimed_in_the_order_they_came(trainer_env: TrainerEnv) -> None:
    submit(trainer_env, "job-1")
    submit(trainer_env, "job-2")
    assert [claim(trainer_env).job.id, claim(trainer_env).job.id] == ["job-1", "job-2"]
    assert trainer_env.store.claim("worker", 10.0) is None


@pytest.mark.survival("F4")
def test_two_workers_never_hold_the_same_job(trainer_env: TrainerEnv) -> None:
    for number in range(10):
        submit(trainer_env, f"job-{number}")
    taken: list[str] = []

    def work() -> None:
        while (held := trainer_env.store.claim("worker", 10.0)) is not None:
            taken.append(held.job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"job-{number}" for number in range(10))


def test_a_beat_keeps_a_job_that_would_else_be_taken_up(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    trainer_env.clock.now += 9
    trainer_env.store.beat(held, 10.0)
    trainer_env.clock.now += 9
    assert trainer_env.store.claim("other", 10.0) is None


@pytest.mark.survival("F3", "F4")
def test_a_lost_job_is_taken_up_again_and_its_first_worker_can_change_nothing(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    first = claim(trainer_env)
    trainer_env.outlast(11.0)
    second = claim(trainer_env)
    assert (second.job.id, second.job.attempt) == ("job-1", 2)
    with pytest.raises(LeaseLost):
        trainer_env.store.beat(first, 10.0)
    with pytest.raises(LeaseLost):
        trainer_env.store.finish(first, Status.SUCCEEDED)
    trainer_env.store.finish(second, Status.SUCCEEDED, version=1)
    assert status(trainer_env) is Status.SUCCEEDED


def test_a_job_that_saves_something_between_losses_is_taken_up_again_and_again(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    for attempt in range(1, 5):
        held = claim(trainer_env)
        assert held.job.attempt == attempt
        saved = Event(code=CHECKPOINT, message="Saved.", created_at=trainer_env.clock.now)
        trainer_env.store.beat(held, 10.0, [saved])
        trainer_env.outlast(11.0)


def test_a_job_lost_twice_after_its_last_checkpoint_fails_as_lost(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    saved = Event(code=CHECKPOINT, message="Saved.", created_at=trainer_env.clock.now)
    trainer_env.store.beat(claim(trainer_env), 10.0, [saved])
    trainer_env.outlast(11.0)
    for _ in range(2):
        claim(trainer_env)
        trainer_env.outlast(11.0)
    assert trainer_env.store.claim("worker", 10.0) is None
    assert status(trainer_env) is Status.FAILED


@pytest.mark.survival("F3")
def test_a_job_lost_twice_fails_as_lost(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    for _ in range(2):
        claim(trainer_env)
        trainer_env.outlast(11.0)
    assert trainer_env.store.claim("worker", 10.0) is None
    job = trainer_env.store.job(TENANT, "job-1")
    assert (job.status, job.error_code) == (Status.FAILED, "job_lost")
    assert job.finished_at == trainer_env.clock.now


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    claim(trainer_env)
    trainer_env.store.cancel(TENANT, "job-1")
    trainer_env.outlast(11.0)
    assert trainer_env.store.claim("worker", 10.0) is None
    assert status(trainer_env) is Status.CANCELLED


def test_a_job_ends_once(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    trainer_env.store.finish(held, Status.FAILED, error_code="x", error_message="y")
    with pytest.raises(LeaseLost):
        trainer_env.store.finish(held, Status.SUCCEEDED)
    with pytest.raises(JobEnded, match="failed"):
        trainer_env.store.cancel(TENANT, "job-1")


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_hears_of_it(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env, "job-1")
    submit(trainer_env, "job-2")
    held = claim(trainer_env)
    assert trainer_env.store.cancel(TENANT, "job-2").status is Status.CANCELLED
    assert trainer_env.store.beat(held, 10.0) is None
    assert trainer_env.store.cancel(TENANT, "job-1").status is Status.RUNNING
    assert trainer_env.store.beat(held, 10.0) is JobSignal.CANCEL


def test_a_job_given_back_waits_again_and_the_attempt_counts_only_when_kept(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    trainer_env.store.give_back(claim(trainer_env), keep_attempt=False)
    assert status(trainer_env) is Status.QUEUED
    again = claim(trainer_env)
    assert again.job.attempt == 1
    trainer_env.store.give_back(again, keep_attempt=True)
    assert claim(trainer_env).job.attempt == 2


def test_only_news_makes_a_new_revision(trainer_env: TrainerEnv) -> None:
    before = submit(trainer_env).revision
    held = claim(trainer_env)
    trainer_env.store.beat(held, 10.0)
    assert trainer_env.store.job(TENANT, "job-1").revision == before + 1
    trainer_env.store.beat(held, 10.0, phase=Phase.TRAINING, progress=0.5, eta_s=3.0)
    job = trainer_env.store.job(TENANT, "job-1")
    assert (job.revision, job.phase, job.progress) == (before + 2, Phase.TRAINING, 0.5)


@pytest.mark.survival("B2")
def test_another_tenants_job_is_not_there(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    with pytest.raises(UnknownJob):
        trainer_env.store.job("other", "job-1")
    with pytest.raises(UnknownJob):
        trainer_env.store.cancel("other", "job-1")
    assert trainer_env.store.list_jobs("other", None, 10) == []


@pytest.mark.survival("F1")
def test_a_job_cannot_name_another_tenants_file(trainer_env: TrainerEnv) -> None:
    theirs = trainer_env.files.put("other", "a", "train", [b"x"], 10)
    with pytest.raises(UnknownFile):
        trainer_env.store.submit("job-1", JobSpec(tenant=TENANT, task="mood", file_id=theirs.id))


def test_jobs_are_counted_by_status(trainer_env: TrainerEnv) -> None:
    submit(trainer_env, "job-1")
    submit(trainer_env, "job-2")
    claim(trainer_env)
    counts = trainer_env.store.count_jobs()
    assert (counts["queued"], counts["running"], counts["failed"]) == (1, 1, 0)


# ---------------------------------------------------------------- pausing


def test_a_queued_job_pauses_at_once_and_no_worker_takes_it_until_it_is_resumed(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    assert trainer_env.store.pause(TENANT, "job-1").status is Status.PAUSED
    assert trainer_env.store.claim("worker", 10.0) is None
    assert trainer_env.store.resume(TENANT, "job-1").status is Status.QUEUED
    assert claim(trainer_env).job.id == "job-1"


def test_a_running_job_hears_of_the_wish_and_is_set_aside_without_counting_the_attempt(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    assert trainer_env.store.pause(TENANT, "job-1").status is Status.RUNNING
    assert trainer_env.store.beat(held, 10.0, progress=0.5) is JobSignal.PAUSE
    trainer_env.store.set_aside(held)
    job = trainer_env.store.job(TENANT, "job-1")
    assert (job.status, job.attempt, job.progress) == (Status.PAUSED, 0, 0.5)
    with pytest.raises(LeaseLost):
        trainer_env.store.finish(held, Status.SUCCEEDED)
    trainer_env.store.resume(TENANT, "job-1")
    assert trainer_env.store.beat(claim(trainer_env), 10.0) is None


def test_a_wish_to_pause_is_taken_back_by_resuming_and_outweighed_by_cancelling(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    held = claim(trainer_env)
    trainer_env.store.pause(TENANT, "job-1")
    trainer_env.store.resume(TENANT, "job-1")
    assert trainer_env.store.beat(held, 10.0) is None
    trainer_env.store.pause(TENANT, "job-1")
    trainer_env.store.cancel(TENANT, "job-1")
    assert trainer_env.store.beat(held, 10.0) is JobSignal.CANCEL


def test_pausing_and_resuming_twice_change_nothing_more(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    trainer_env.store.pause(TENANT, "job-1")
    assert trainer_env.store.pause(TENANT, "job-1").status is Status.PAUSED
    trainer_env.store.resume(TENANT, "job-1")
    assert trainer_env.store.resume(TENANT, "job-1").status is Status.QUEUED
    told = [e.code for e in trainer_env.store.list_events(TENANT, "job-1", limit=9)]
    assert told == ["job.queued", "job.paused", "job.queued"]


def test_a_paused_job_can_be_cancelled_and_an_ended_one_neither_paused_nor_resumed(
    trainer_env: TrainerEnv,
) -> None:
    submit(trainer_env)
    trainer_env.store.pause(TENANT, "job-1")
    assert trainer_env.store.cancel(TENANT, "job-1").status is Status.CANCELLED
    with pytest.raises(JobEnded):
        trainer_env.store.pause(TENANT, "job-1")
    with pytest.raises(JobEnded):
        trainer_env.store.resume(TENANT, "job-1")


def test_what_is_asked_of_a_job_while_it_winds_down_to_pause_is_not_lost(
    trainer_env: TrainerEnv,
) -> None:
    for name in ("cancelled", "resumed"):
        submit(trainer_env, name)
        held = claim(trainer_env)
        trainer_env.store.pause(TENANT, name)
        assert trainer_env.store.beat(held, 10.0) is JobSignal.PAUSE
        (trainer_env.store.cancel if name == "cancelled" else trainer_env.store.resume)(
            TENANT, name
        )
        trainer_env.store.set_aside(held)
    cancelled, resumed = (trainer_env.store.job(TENANT, name) for name in ("cancelled", "resumed"))
    assert (cancelled.status, cancelled.finished_at) == (Status.CANCELLED, trainer_env.clock.now)
    assert (resumed.status, resumed.attempt) == (Status.QUEUED, 0)


def test_a_lost_job_that_was_to_pause_is_paused(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    claim(trainer_env)
    trainer_env.store.pause(TENANT, "job-1")
    trainer_env.outlast(11.0)
    assert trainer_env.store.claim("worker", 10.0) is None
    assert status(trainer_env) is Status.PAUSED


def test_a_paused_job_still_needs_its_file(trainer_env: TrainerEnv) -> None:
    job = submit(trainer_env)
    trainer_env.store.pause(TENANT, "job-1")
    with pytest.raises(FileInUse):
        trainer_env.files.delete(TENANT, job.spec.file_id)


@pytest.mark.parametrize(
    "note",
    [("é", "ü"), ("a\\b", "c"), ("%", "%"), ("a.b", "$[0]"), ("a'", "'"), ("[0]", "\u2028")],
)
def test_jobs_are_found_by_a_note_of_any_letters(
    trainer_env: TrainerEnv, note: tuple[str, str]
) -> None:
    file_id = trainer_env.upload(b"x").id
    for job_id, metadata in (("job-other", {"other": note[1]}), ("job-noted", dict([note]))):
        spec = JobSpec(tenant=TENANT, task="mood", file_id=file_id, metadata=metadata)
        trainer_env.store.submit(job_id, spec)
    found = trainer_env.trainer.list(TENANT, metadata=dict([note]))
    assert [job.id for job in found] == ["job-noted"]
