"""Every change of jobs and files leaves one row of the audit log, on behalf of whoever asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters_registry.audit.actor import Actor, ActorKind, acting
from adapters_registry.audit.audit_event import AuditEvent
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.audit.verification import verify
from adapters_registry.storage.shared_state import SharedState
from tests.audit.test_registry_changes import public_methods
from tests.trainer.build import jsonl, mood_rows
from trainer.jobs.file_store import FileStore
from trainer.jobs.schema import JOBS
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim, JobSpec

ANN = Actor(kind=ActorKind.CALLER, name="k1", tenant="acme", request_id="r1")


class World:
    """A stored file, and jobs in each state that somebody can act on."""

    def __init__(self, state: SharedState, incoming: Path) -> None:
        self.log = AuditLog(state.database)
        self.store = JobStore(state.database)
        self.files = FileStore(state.blobs, self.store, incoming)
        self.file = self.upload()
        self.running = self.claim("job-running")
        for name in ("job-queued", "job-paused"):
            self.store.submit(name, self.spec())
        self.store.pause("acme", "job-paused")

    def upload(self) -> str:
        content = jsonl(mood_rows(4))
        return self.files.put("acme", "rows.jsonl", "fine-tune", [content], 10**6).id

    def spec(self) -> JobSpec:
        return JobSpec(tenant="acme", task="mood", file_id=self.file, head="classify")

    def claim(self, name: str) -> Claim:
        self.store.submit(name, self.spec())
        claim = self.store.claim("w1", 60.0)
        assert claim is not None
        return claim


@pytest.fixture
def world(state: SharedState, tmp_path: Path) -> World:
    return World(state, tmp_path / "incoming")


#: methods that change nothing, or only how far a job is
READS = {
    "beat", "count_jobs", "find_erased", "job", "list_events", "list_jobs", "may_try_again",
    "unfinished_ids",
}  # fmt: skip
#: what each other method is called with here, and the action that the log keeps
CHANGES: dict[str, tuple[str, Callable[[World], object]]] = {
    "submit": ("job.submit", lambda w: w.store.submit("job-new", w.spec())),
    "cancel": ("job.cancel", lambda w: w.store.cancel("acme", "job-queued")),
    "pause": ("job.pause", lambda w: w.store.pause("acme", "job-queued")),
    "resume": ("job.resume", lambda w: w.store.resume("acme", "job-paused")),
    "claim": ("job.start", lambda w: w.store.claim("w2", 60.0)),
    "finish": ("job.finish", lambda w: w.store.finish(w.running, Status.SUCCEEDED, version=1)),
    "give_back": ("job.queue", lambda w: w.store.give_back(w.running, keep_attempt=True)),
    "set_aside": ("job.pause", lambda w: w.store.set_aside(w.running)),
}
FILE_READS = {"get", "list", "path", "read", "sweep"}
FILE_CHANGES: dict[str, tuple[str, Callable[[World], object]]] = {
    "put": ("file.upload", lambda w: w.upload()),
    "delete": ("file.delete", lambda w: delete_unused(w)),
}
#: further changes of jobs that run
OF_RUNNING: dict[str, tuple[str, Callable[[World], object]]] = {
    "cancel": ("job.cancel", lambda w: w.store.cancel("acme", "job-running")),
    "pause": ("job.pause", lambda w: w.store.pause("acme", "job-running")),
}


def delete_unused(world: World) -> None:
    for name in ("job-queued", "job-paused", "job-running"):
        world.store.cancel("acme", name)
    world.store.finish(world.running, Status.CANCELLED)
    world.files.delete("acme", world.file)


def events_of(world: World, act: Callable[[World], object]) -> list[AuditEvent]:
    num_before = len(world.log.list("acme", limit=1000))
    with acting(ANN):
        act(world)
    return world.log.list("acme", limit=1000)[num_before:]


def test_each_method_of_both_stores_is_known_to_change_something_or_not() -> None:
    """A new one goes to one of the tables above."""
    assert public_methods(JobStore) == READS | CHANGES.keys()
    assert public_methods(FileStore) == FILE_READS | FILE_CHANGES.keys()


@pytest.mark.parametrize(
    ("action", "act"), [*CHANGES.values(), FILE_CHANGES["put"], *OF_RUNNING.values()]
)
def test_each_change_leaves_one_row_with_who_did_it(
    world: World, action: str, act: Callable[[World], object]
) -> None:
    if action == "job.pause" and act is CHANGES["set_aside"][1]:
        world.store.pause("acme", "job-running")
    [event] = events_of(world, act)
    assert (event.actor, event.change.action, event.change.tenant) == (ANN, action, "acme")
    assert event.change.after


def test_a_deleted_file_stays_named_by_its_digest(world: World) -> None:
    sha256 = world.files.get("acme", world.file).sha256
    *_, event = events_of(world, delete_unused)
    assert (event.change.action, event.change.target) == ("file.delete", world.file)
    assert event.change.before is not None
    assert event.change.before["sha256"] == sha256


def test_a_finished_job_s_row_has_its_version_and_verdict(world: World) -> None:
    result = {"report": {"verdict": {"decision": "ship"}}}

    def finish(world: World) -> None:
        world.store.finish(world.running, Status.SUCCEEDED, version=3, digest="d", result=result)

    [event] = events_of(world, finish)
    assert event.change.task == "mood"
    assert event.change.before == {"status": "running"}
    assert event.change.after == {
        "status": "succeeded", "version": 3, "digest": "d", "verdict": "ship",
    }  # fmt: skip


@pytest.mark.parametrize(
    "act",
    [
        lambda world: world.store.pause("acme", "job-paused"),
        lambda world: world.store.resume("acme", "job-queued"),
        lambda world: world.store.beat(world.running, 60.0, progress=0.5),
    ],
)
def test_what_changes_no_state_leaves_no_row(world: World, act: Callable[[World], object]) -> None:
    assert events_of(world, act) == []


def test_all_of_it_is_one_whole_chain(world: World, state: SharedState) -> None:
    delete_unused(world)
    assert verify(state.database).faults == ()


@pytest.mark.parametrize("task", ["t" * 70, "nul\0"])
def test_a_damaged_job_with_an_impossible_task_is_ended_and_others_go_on(
    world: World, state: SharedState, task: str
) -> None:
    with state.database.write() as db:
        damaged = {"task": task, "file_id": 7}
        db.execute(sa.update(JOBS).where(JOBS.c.id == "job-queued").values(spec=damaged))
    world.store.submit("job-next", world.spec())
    claim = world.store.claim("w2", 60.0)
    assert claim is not None
    assert claim.job.id == "job-next"
    assert world.store.job("acme", "job-queued").status == Status.FAILED


def test_the_log_keeps_no_name_of_a_file_and_no_sentence_of_a_failure(world: World) -> None:
    def fail(world: World) -> None:
        world.files.put("acme", "canary.csv", "fine-tune", [b"x"], 10**6, "canary")
        reasons = {"error_code": "bad_dataset", "error_message": "row 7 is 'canary'"}
        world.store.finish(world.running, Status.FAILED, **reasons)

    uploaded, failed = events_of(world, fail)
    assert "canary" not in uploaded.text + failed.text
    assert failed.change.after == {"status": "failed", "error_code": "bad_dataset"}
