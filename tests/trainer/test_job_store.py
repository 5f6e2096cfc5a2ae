"""Jobs in the store: legal moves, leases and fencing tokens."""

from __future__ import annotations

import threading

import pytest

from tests.trainer.build import TENANT, Bench
from trainer.errors import FileInUse, JobEnded, LeaseLost, UnknownFile, UnknownJob
from trainer.jobs.events import CHECKPOINT, Event
from trainer.jobs.states import MOVES, Phase, Status, Wish, sources
from trainer.jobs.values import Claim, Job, JobSpec


def submit(bench: Bench, job_id: str = "job-1") -> Job:
    spec = JobSpec(tenant=TENANT, task="mood", file_id=bench.upload(b"x").id)
    return bench.store.submit(job_id, spec)


def claim(bench: Bench) -> Claim:
    claimed = bench.store.claim("worker", 10.0)
    assert claimed is not None
    return claimed


def status(bench: Bench, job_id: str = "job-1") -> Status:
    return bench.store.job(TENANT, job_id).status


def test_every_state_is_drawn_and_ends_do_not_move() -> None:
    assert set(MOVES) == set(Status)
    assert [s for s in Status if s.ended] == [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]
    assert sources(Status.RUNNING) == [Status.QUEUED]


def test_jobs_are_claimed_in_the_order_they_came(bench: Bench) -> None:
    submit(bench, "job-1")
    submit(bench, "job-2")
    assert [claim(bench).job.id, claim(bench).job.id] == ["job-1", "job-2"]
    assert bench.store.claim("worker", 10.0) is None


@pytest.mark.survival("F4")
def test_two_workers_never_hold_the_same_job(bench: Bench) -> None:
    for number in range(10):
        submit(bench, f"job-{number}")
    taken: list[str] = []

    def work() -> None:
        while (held := bench.store.claim("worker", 10.0)) is not None:
            taken.append(held.job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"job-{number}" for number in range(10))


def test_a_beat_keeps_a_job_that_would_else_be_taken_up(bench: Bench) -> None:
    submit(bench)
    held = claim(bench)
    bench.clock.now += 9
    bench.store.beat(held, 10.0)
    bench.clock.now += 9
    assert bench.store.claim("other", 10.0) is None


@pytest.mark.survival("F3", "F4")
def test_a_lost_job_is_taken_up_again_and_its_first_worker_can_change_nothing(bench: Bench) -> None:
    submit(bench)
    first = claim(bench)
    bench.clock.now += 11
    second = claim(bench)
    assert (second.job.id, second.job.attempt) == ("job-1", 2)
    with pytest.raises(LeaseLost):
        bench.store.beat(first, 10.0)
    with pytest.raises(LeaseLost):
        bench.store.finish(first, Status.SUCCEEDED)
    bench.store.finish(second, Status.SUCCEEDED, version=1)
    assert status(bench) is Status.SUCCEEDED


def test_a_job_that_saves_something_between_losses_is_taken_up_again_and_again(
    bench: Bench,
) -> None:
    submit(bench)
    for attempt in range(1, 5):
        held = claim(bench)
        assert held.job.attempt == attempt
        saved = Event(code=CHECKPOINT, message="Saved.", created_at=bench.clock.now)
        bench.store.beat(held, 10.0, [saved])
        bench.clock.now += 11


def test_a_job_lost_twice_after_its_last_checkpoint_fails_as_lost(bench: Bench) -> None:
    submit(bench)
    saved = Event(code=CHECKPOINT, message="Saved.", created_at=bench.clock.now)
    bench.store.beat(claim(bench), 10.0, [saved])
    bench.clock.now += 11
    for _ in range(2):
        claim(bench)
        bench.clock.now += 11
    assert bench.store.claim("worker", 10.0) is None
    assert status(bench) is Status.FAILED


@pytest.mark.survival("F3")
def test_a_job_lost_twice_fails_as_lost(bench: Bench) -> None:
    submit(bench)
    for _ in range(2):
        claim(bench)
        bench.clock.now += 11
    assert bench.store.claim("worker", 10.0) is None
    job = bench.store.job(TENANT, "job-1")
    assert (job.status, job.error_code) == (Status.FAILED, "job_lost")
    assert job.finished_at == bench.clock.now


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(bench: Bench) -> None:
    submit(bench)
    claim(bench)
    bench.store.cancel(TENANT, "job-1")
    bench.clock.now += 11
    assert bench.store.claim("worker", 10.0) is None
    assert status(bench) is Status.CANCELLED


def test_a_job_ends_once(bench: Bench) -> None:
    submit(bench)
    held = claim(bench)
    bench.store.finish(held, Status.FAILED, error_code="x", error_message="y")
    with pytest.raises(LeaseLost):
        bench.store.finish(held, Status.SUCCEEDED)
    with pytest.raises(JobEnded, match="failed"):
        bench.store.cancel(TENANT, "job-1")


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_hears_of_it(bench: Bench) -> None:
    submit(bench, "job-1")
    submit(bench, "job-2")
    held = claim(bench)
    assert bench.store.cancel(TENANT, "job-2").status is Status.CANCELLED
    assert bench.store.beat(held, 10.0) is None
    assert bench.store.cancel(TENANT, "job-1").status is Status.RUNNING
    assert bench.store.beat(held, 10.0) is Wish.CANCEL


def test_a_job_given_back_waits_again_and_the_attempt_counts_only_when_kept(bench: Bench) -> None:
    submit(bench)
    bench.store.give_back(claim(bench), keep_attempt=False)
    assert status(bench) is Status.QUEUED
    again = claim(bench)
    assert again.job.attempt == 1
    bench.store.give_back(again, keep_attempt=True)
    assert claim(bench).job.attempt == 2


def test_only_news_makes_a_new_revision(bench: Bench) -> None:
    before = submit(bench).revision
    held = claim(bench)
    bench.store.beat(held, 10.0)
    assert bench.store.job(TENANT, "job-1").revision == before + 1
    bench.store.beat(held, 10.0, phase=Phase.TRAINING, progress=0.5, eta_s=3.0)
    job = bench.store.job(TENANT, "job-1")
    assert (job.revision, job.phase, job.progress) == (before + 2, Phase.TRAINING, 0.5)


@pytest.mark.survival("B2")
def test_another_tenants_job_is_not_there(bench: Bench) -> None:
    submit(bench)
    with pytest.raises(UnknownJob):
        bench.store.job("other", "job-1")
    with pytest.raises(UnknownJob):
        bench.store.cancel("other", "job-1")
    assert bench.store.list_jobs("other", None, 10) == []


@pytest.mark.survival("F1")
def test_a_job_cannot_name_another_tenants_file(bench: Bench) -> None:
    theirs = bench.files.put("other", "a", "train", [b"x"], 10)
    with pytest.raises(UnknownFile):
        bench.store.submit("job-1", JobSpec(tenant=TENANT, task="mood", file_id=theirs.id))


def test_jobs_are_counted_by_status(bench: Bench) -> None:
    submit(bench, "job-1")
    submit(bench, "job-2")
    claim(bench)
    counts = bench.store.count_jobs()
    assert (counts["queued"], counts["running"], counts["failed"]) == (1, 1, 0)


# ---------------------------------------------------------------- pausing


def test_a_queued_job_pauses_at_once_and_no_worker_takes_it_until_it_is_resumed(
    bench: Bench,
) -> None:
    submit(bench)
    assert bench.store.pause(TENANT, "job-1").status is Status.PAUSED
    assert bench.store.claim("worker", 10.0) is None
    assert bench.store.resume(TENANT, "job-1").status is Status.QUEUED
    assert claim(bench).job.id == "job-1"


def test_a_running_job_hears_of_the_wish_and_is_set_aside_without_counting_the_attempt(
    bench: Bench,
) -> None:
    submit(bench)
    held = claim(bench)
    assert bench.store.pause(TENANT, "job-1").status is Status.RUNNING
    assert bench.store.beat(held, 10.0, progress=0.5) is Wish.PAUSE
    bench.store.set_aside(held)
    job = bench.store.job(TENANT, "job-1")
    assert (job.status, job.attempt, job.progress) == (Status.PAUSED, 0, 0.5)
    with pytest.raises(LeaseLost):
        bench.store.finish(held, Status.SUCCEEDED)
    bench.store.resume(TENANT, "job-1")
    assert bench.store.beat(claim(bench), 10.0) is None


def test_a_wish_to_pause_is_taken_back_by_resuming_and_outweighed_by_cancelling(
    bench: Bench,
) -> None:
    submit(bench)
    held = claim(bench)
    bench.store.pause(TENANT, "job-1")
    bench.store.resume(TENANT, "job-1")
    assert bench.store.beat(held, 10.0) is None
    bench.store.pause(TENANT, "job-1")
    bench.store.cancel(TENANT, "job-1")
    assert bench.store.beat(held, 10.0) is Wish.CANCEL


def test_pausing_and_resuming_twice_change_nothing_more(bench: Bench) -> None:
    submit(bench)
    bench.store.pause(TENANT, "job-1")
    assert bench.store.pause(TENANT, "job-1").status is Status.PAUSED
    bench.store.resume(TENANT, "job-1")
    assert bench.store.resume(TENANT, "job-1").status is Status.QUEUED
    told = [e.code for e in bench.store.list_events(TENANT, "job-1", limit=9)]
    assert told == ["job.queued", "job.paused", "job.queued"]


def test_a_paused_job_can_be_cancelled_and_an_ended_one_neither_paused_nor_resumed(
    bench: Bench,
) -> None:
    submit(bench)
    bench.store.pause(TENANT, "job-1")
    assert bench.store.cancel(TENANT, "job-1").status is Status.CANCELLED
    with pytest.raises(JobEnded):
        bench.store.pause(TENANT, "job-1")
    with pytest.raises(JobEnded):
        bench.store.resume(TENANT, "job-1")


def test_what_is_asked_of_a_job_while_it_winds_down_to_pause_is_not_lost(bench: Bench) -> None:
    for name in ("cancelled", "resumed"):
        submit(bench, name)
        held = claim(bench)
        bench.store.pause(TENANT, name)
        assert bench.store.beat(held, 10.0) is Wish.PAUSE
        (bench.store.cancel if name == "cancelled" else bench.store.resume)(TENANT, name)
        bench.store.set_aside(held)
    cancelled, resumed = (bench.store.job(TENANT, name) for name in ("cancelled", "resumed"))
    assert (cancelled.status, cancelled.finished_at) == (Status.CANCELLED, bench.clock.now)
    assert (resumed.status, resumed.attempt) == (Status.QUEUED, 0)


def test_a_lost_job_that_was_to_pause_is_paused(bench: Bench) -> None:
    submit(bench)
    claim(bench)
    bench.store.pause(TENANT, "job-1")
    bench.clock.now += 11
    assert bench.store.claim("worker", 10.0) is None
    assert status(bench) is Status.PAUSED


def test_a_paused_job_still_needs_its_file(bench: Bench) -> None:
    job = submit(bench)
    bench.store.pause(TENANT, "job-1")
    with pytest.raises(FileInUse):
        bench.files.delete(TENANT, job.spec.file_id)
