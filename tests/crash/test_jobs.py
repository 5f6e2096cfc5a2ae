"""A job is in one state, with the event and the row of the audit log of each, wherever a change of
it was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.storage.shared_state import SharedState
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.test_files import open_files, put
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from trainer.jobs.events import CHECKPOINT, Event
from trainer.jobs.states import Phase, Status
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim, FileQuery, JobSpec
from trainer.training.checkpoints import Checkpoints
from trainer.training.shared_checkpoints import SharedCheckpoints

pytestmark = [pytest.mark.survival("G1"), pytest.mark.timeout(900)]

LEASE_S = 60.0
JOB = "job-1"
#: the codes of its events
Seen = list[str]


def run_job(place: Place, arm: Arm) -> None:
    store = JobStore(place.attach().database)
    spec = read_spec(store)
    arm()
    store.submit(JOB, spec)
    claim = claim_job(store)
    events = [Event(code=code, message=code, created_at=1.0) for code in ("training.epoch", "note")]
    store.beat(claim, LEASE_S, events, phase=Phase.TRAINING, progress=0.5)
    store.finish(claim, Status.SUCCEEDED, version=1, result={"report": {}})


def pause_and_cancel(place: Place, arm: Arm) -> None:
    store = JobStore(place.attach().database)
    spec = read_spec(store)
    arm()
    store.submit(JOB, spec)
    store.pause("acme", JOB)
    store.resume("acme", JOB)
    claim = claim_job(store)
    store.pause("acme", JOB)
    store.set_aside(claim)
    store.resume("acme", JOB)
    store.give_back(claim_job(store), keep_attempt=True)
    store.cancel("acme", JOB)


def take_lost_job(place: Place, arm: Arm) -> None:
    """By its second look, another worker knows that the first is gone."""
    now = [0.0]
    later = time.time() + 10 * LEASE_S
    store = JobStore(
        place.attach().database,
        clock=lambda: later,
        lease_clock=lambda _: later,
        monotonic=lambda: now[0],
    )
    assert store.claim("two", LEASE_S) is None
    now[0] += LEASE_S
    arm()
    claim = store.claim("two", LEASE_S)
    assert claim is not None
    store.finish(claim, Status.FAILED, error_code="no_luck", error_message="It failed.")


def share_checkpoints(place: Place, arm: Arm) -> None:
    state = place.attach()
    store = JobStore(state.database)
    checkpoints = Checkpoints(state.directory / "checkpoints", store, state.blobs, are_shared=True)
    claim = Claim(job=store.job("acme", JOB), token=1)
    arm()
    mine = checkpoints.take(claim)
    shared = SharedCheckpoints(store, state.blobs)
    for content in (b"second", b"third"):
        shared.store(claim, "seed-0", write_checkpoint(state.directory / "made", content))
    mine.sweep()
    store.finish(claim, Status.SUCCEEDED)
    checkpoints.drop(JOB)


def read_spec(store: JobStore) -> JobSpec:
    [record] = store.files.list("acme", None, 10, query=FileQuery())
    return JobSpec(tenant="acme", task="mail", file_id=record.id, metadata={"team": "a"})


def claim_job(store: JobStore) -> Claim:
    claim = store.claim("one", LEASE_S)
    assert claim is not None
    return claim


def write_checkpoint(folder: Path, content: bytes) -> dict[str, Path]:
    """Two files that belong together."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / name for name in ("weights", "state")}
    for path in paths.values():
        path.write_bytes(content + path.name.encode())
    return paths


@pytest.fixture
def prepare(places: Places) -> Callable[[int], Place]:
    with closing(places.original.open()) as state:
        put(open_files(state), b"rows\n")
    return places.copy


@pytest.fixture
def prepare_running(places: Places) -> Callable[[int], Place]:
    """A job that a worker holds, with a checkpoint that all share."""
    with closing(places.original.open()) as state:
        put(open_files(state), b"rows\n")
        store = JobStore(state.database)
        store.submit(JOB, read_spec(store))
        claim = claim_job(store)
        store.beat(claim, LEASE_S, [Event(code=CHECKPOINT, message="saved", created_at=1.0)])
        files = write_checkpoint(state.directory.with_name("made"), b"first")
        SharedCheckpoints(store, state.blobs).store(claim, "seed-0", files)
    return places.copy


def list_steps(place: Place) -> Seen:
    """The codes of the job's events, which agree with its state and with the audit log; whoever
    waits for it can go on.
    """
    with reopened(place) as state:
        store = JobStore(state.database)
        steps = list_events(store)
        check_audit(state, steps)
        if not steps:
            store.submit(JOB, read_spec(store))
        if not store.job("acme", JOB).status.ended:
            store.cancel("acme", JOB)
        return steps


def list_events(store: JobStore) -> Seen:
    jobs = store.list_jobs("acme", None, 10)
    if not jobs:
        return []
    [job] = jobs
    events = store.list_events("acme", JOB, limit=50)
    assert [each.number for each in events] == [*range(1, len(events) + 1)]
    codes = [each.code for each in events]
    moves = [code for code in codes if code.removeprefix("job.") in set(Status)]
    assert moves[-1] == f"job.{job.status}"
    assert store.list_jobs("acme", None, 10, metadata={"team": "a"}) == jobs
    return codes


def check_audit(state: SharedState, steps: Seen) -> None:
    """It has a row for each of the job's events but those of its worker alone."""
    rows = AuditLog(state.database).list("acme", target=JOB)
    assert len(rows) == len([step for step in steps if step.startswith("job.")])


def list_checkpoints(place: Place) -> tuple[bytes, ...]:
    """The contents of the job's checkpoint, which belong together; a machine that never had it can
    fetch it.
    """
    with reopened(place) as state:
        store = JobStore(state.database)
        claim = Claim(job=store.job("acme", JOB), token=1)
        SharedCheckpoints(store, state.blobs).fetch(claim, folder := state.directory / "fetched")
        contents = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert contents.keys() in ({"weights", "state"}, set())
        return tuple(sorted({each.removesuffix(name.encode()) for name, each in contents.items()}))


def test_a_job_and_its_events_agree_wherever_its_run_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, run_job, list_steps))
    queued, running = ["job.queued"], ["job.queued", "job.running"]
    trained = [*running, "training.epoch", "note"]
    assert states == [[], queued, running, trained, [*trained, "job.succeeded"]]


@pytest.mark.slow
def test_a_job_and_its_events_agree_wherever_its_owner_s_wish_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, pause_and_cancel, list_steps))
    last = [
        "job.queued", "job.paused", "job.queued", "job.running", "job.pausing", "job.paused",
        "job.queued", "job.running", "job.queued", "job.cancelled",
    ]  # fmt: skip
    assert states == [last[:length] for length in range(len(last) + 1)]


@pytest.mark.slow
def test_a_lost_job_is_taken_once_wherever_the_worker_that_takes_it_is_killed(
    prepare_running: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare_running, take_lost_job, list_steps))
    before = ["job.queued", "job.running", CHECKPOINT]
    taken = [*before, "job.queued", "job.running"]
    assert states == [before, taken, [*taken, "job.failed"]]


@pytest.mark.slow
def test_a_checkpoint_is_replaced_whole_wherever_the_worker_that_shares_it_is_killed(
    prepare_running: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare_running, share_checkpoints, list_checkpoints))
    assert states == [(b"first",), (b"second",), (b"third",), ()]
