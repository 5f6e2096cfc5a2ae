"""Leases of several workers over one database: who renews in time keeps the job, whatever the wall
clock does, and nothing that is asked of a running job is lost.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from adapters_registry.storage.database import Database
from engine.port import Result, Step, Train
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, Clock, TrainerEnv, jsonl, mood_rows
from tests.trainer.conftest import MakeEnv
from tests.trainer.storage import BOTH
from tests.trainer.test_job_store import submit
from trainer.errors import JobEnded
from trainer.jobs import lease as lease_module
from trainer.jobs.events import CHECKPOINT, Event
from trainer.jobs.lease import Lease
from trainer.jobs.states import JobSignal, Status
from trainer.jobs.store import JobStore

STORAGES = BOTH
LEASE_S = 30.0
HOUR_S = 3600.0


@dataclass(slots=True, kw_only=True)
class Clocks:
    """The wall clock, which jumps, and the monotonic one, which both workers read."""

    wall: Clock = field(default_factory=Clock)
    monotonic: Clock = field(default_factory=Clock)

    def open_store(self, database: Database) -> JobStore:
        """As another worker has it."""
        return JobStore(
            database, self.wall, lease_clock=lambda _: self.wall(), monotonic=self.monotonic
        )

    def advance(self, seconds: float) -> None:
        self.wall.now += seconds
        self.monotonic.now += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def stores(trainer_env: TrainerEnv, clocks: Clocks) -> tuple[JobStore, JobStore]:
    """Of two workers; a job waits."""
    submit(trainer_env)
    database = trainer_env.state.database
    return clocks.open_store(database), clocks.open_store(database)


@pytest.mark.survival("G10", "F4")
@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_jumps_takes_no_job_from_a_worker_that_is_alive(
    stores: tuple[JobStore, JobStore], clocks: Clocks, jump_s: float
) -> None:
    mine, others = stores
    held = mine.claim("mine", LEASE_S)
    assert held is not None
    assert others.claim("others", LEASE_S) is None
    clocks.wall.now += jump_s
    for _ in range(100):
        assert others.claim("others", LEASE_S) is None
        clocks.advance(1.0)
        mine.beat(held, LEASE_S)


@pytest.mark.survival("G10", "F3")
def test_a_clock_that_is_set_back_keeps_no_job_with_a_worker_that_is_dead(
    stores: tuple[JobStore, JobStore], clocks: Clocks
) -> None:
    mine, others = stores
    assert mine.claim("dead", LEASE_S) is not None
    assert others.claim("others", LEASE_S) is None
    clocks.wall.now -= HOUR_S
    for seconds in (LEASE_S, 1.0):  # as long as a lease lasts, and a first look that sees it over
        clocks.advance(seconds)
        assert others.claim("others", LEASE_S) is None
    clocks.advance(LEASE_S / 10)
    assert others.claim("others", LEASE_S) is not None


@pytest.mark.survival("G10", "G6")
def test_a_database_that_was_away_for_longer_than_a_lease_takes_no_job_from_its_worker(
    stores: tuple[JobStore, JobStore], clocks: Clocks
) -> None:
    mine, others = stores
    held = mine.claim("mine", LEASE_S)
    assert held is not None
    assert others.claim("others", LEASE_S) is None
    clocks.advance(HOUR_S)  # nobody could renew anything, and this one is the first to look
    assert others.claim("others", LEASE_S) is None
    mine.beat(held, LEASE_S)
    clocks.advance(LEASE_S / 10)
    assert others.claim("others", LEASE_S) is None


def test_a_worker_that_starts_looks_twice_before_it_takes_a_job_whose_lease_is_over(
    stores: tuple[JobStore, JobStore], clocks: Clocks
) -> None:
    mine, others = stores
    assert mine.claim("dead", LEASE_S) is not None
    clocks.advance(HOUR_S)
    for seconds in (0.0, LEASE_S / 10 - 0.1):
        clocks.advance(seconds)
        assert others.claim("others", LEASE_S) is None
    clocks.advance(0.2)
    assert others.claim("others", LEASE_S) is not None


@pytest.mark.survival("F4")
def test_a_lost_job_is_taken_by_one_of_those_that_look_at_once(
    trainer_env: TrainerEnv, clocks: Clocks
) -> None:
    submit(trainer_env)
    stores = [clocks.open_store(trainer_env.state.database) for _ in range(4)]
    for attempt in range(1, 6):
        with ThreadPoolExecutor(4) as pool:
            claims = list(pool.map(lambda store: store.claim("worker", LEASE_S), stores))
        (held,) = (claim for claim in claims if claim is not None)
        assert held.job.attempt == attempt
        saved = Event(code=CHECKPOINT, message="Saved.", created_at=1.0)
        stores[0].beat(held, LEASE_S, [saved])
        clocks.advance(LEASE_S + 1)
        assert all(store.claim("worker", LEASE_S) is None for store in stores)
        clocks.advance(LEASE_S / 10)


class Busy(FakeEngine):
    """One step takes longer than the lease."""

    step_s = 2.5

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train) and not self.begun.is_set():
            self.begun.set()
            time.sleep(self.step_s)
        return FakeEngine.submit(self, step)


@pytest.mark.survival("F4")
def test_a_step_longer_than_the_lease_keeps_its_job(open_env: MakeEnv) -> None:
    mine = open_env(port=(port := Busy()), has_real_leases=True, lease_s=1.0)
    others = open_env(has_real_leases=True, lease_s=1.0)
    job = mine.trainer.submit(mine.spec(jsonl(mood_rows())))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(mine.trainer.run_once)
        assert port.begun.wait(10)
        looks = 0
        while not running.done():
            assert others.trainer.run_once() is False
            looks += 1
            time.sleep(0.05)
        assert running.result() is True
    ended = mine.trainer.get(TENANT, job.id)
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 1)
    assert looks > 3


def test_a_job_whose_lease_is_not_renewed_is_taken_over_by_real_clocks(open_env: MakeEnv) -> None:
    mine, others = (open_env(has_real_leases=True, lease_s=0.2) for _ in range(2))
    job = mine.trainer.submit(mine.spec(jsonl(mood_rows())))
    assert mine.store.claim("dead", 0.2) is not None
    deadline = time.monotonic() + 10
    while not others.trainer.run_once() and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = others.trainer.get(TENANT, job.id)
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 2)


@pytest.mark.survival("F4")
def test_no_change_of_a_running_job_is_lost_whoever_makes_it_at_the_same_time(
    trainer_env: TrainerEnv,
) -> None:
    store, num = trainer_env.store, 25
    submit(trainer_env)
    held = store.claim("worker", LEASE_S)
    assert held is not None

    def beat() -> None:
        for number in range(num):
            event = Event(code=f"x.{number}", message="x", created_at=1.0)
            store.beat(held, LEASE_S, [event], progress=number / num)

    def pause_and_resume() -> None:
        for _ in range(num):
            store.pause(TENANT, "job-1")
            store.resume(TENANT, "job-1")

    with ThreadPoolExecutor(3) as pool:
        for ended in [pool.submit(act) for act in (beat, pause_and_resume, pause_and_resume)]:
            ended.result()
    job = store.job(TENANT, "job-1")
    assert job.revision == held.job.revision + num + 4 * num
    codes = [event.code for event in store.list_events(TENANT, "job-1", limit=1000)]
    assert codes.count("job.pausing") == 2 * num
    assert [code for code in codes if code.startswith("x.")] == [f"x.{n}" for n in range(num)]


def test_a_job_that_ends_while_it_is_cancelled_ends_once(trainer_env: TrainerEnv) -> None:
    store, num = trainer_env.store, 10

    def cancel(number: int) -> bool:
        try:
            return store.cancel(TENANT, f"job-{number}").status is not Status.QUEUED
        except JobEnded:
            return False

    for number in range(num):
        submit(trainer_env, f"job-{number}")
        held = store.claim("worker", LEASE_S)
        assert held is not None
        with ThreadPoolExecutor(2) as pool:
            cancelled = pool.submit(cancel, number)
            pool.submit(store.finish, held, Status.SUCCEEDED).result()
            told = cancelled.result()
        codes = [each.code for each in store.list_events(TENANT, f"job-{number}", limit=9)]
        asked = ["job.cancelling"] if told else []
        assert codes == ["job.queued", "job.running", *asked, "job.succeeded"]


def test_a_request_made_between_two_beats_is_heard_with_the_next(trainer_env: TrainerEnv) -> None:
    submit(trainer_env)
    held = trainer_env.store.claim("worker", LEASE_S)
    assert held is not None
    with Lease(
        trainer_env.store, held, lease_s=LEASE_S, poll_s=0.01, stop=threading.Event()
    ) as lease:
        trainer_env.store.pause(TENANT, "job-1")
        deadline = time.monotonic() + 10
        while not lease.pause_requested and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.pause_requested
    assert trainer_env.store.beat(held, LEASE_S) is JobSignal.PAUSE


@pytest.mark.survival("G6")
def test_the_end_of_a_run_waits_for_no_heartbeat_that_hangs(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_CLOSE_S", 0.05)
    submit(trainer_env)
    held = trainer_env.store.claim("worker", LEASE_S)
    assert held is not None
    hangs, free = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        hangs.set()
        free.wait(60)

    monkeypatch.setattr(trainer_env.store, "beat", hang)
    with Lease(
        trainer_env.store, held, lease_s=LEASE_S, poll_s=0.01, stop=threading.Event()
    ) as lease:
        assert hangs.wait(10)
        lease.emit("note", "left behind")
    assert lease._thread.is_alive()
    free.set()
    lease._thread.join(10)
