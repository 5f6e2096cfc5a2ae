"""Rows of jobs that this release cannot read: they say why, and hold up nobody."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from adapters_registry.storage.shared_state import DATABASE_FILE
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.errors import JobEnded, UnreadableJob
from trainer.jobs.states import Status

pytestmark = pytest.mark.survival("G7")

SPEC = {"tenant": TENANT, "task": "mood", "file_id": "file-1", "settings": {}}
#: of a newer release
NEWER: dict[str, dict[str, Any]] = {
    "a setting": {**SPEC, "settings": {"epochs": 3, "of_a_newer_release": 1}},
    "a setting's value": {**SPEC, "settings": {"schedule": "of_a_newer_release"}},
    "a field": {**SPEC, "of_a_newer_release": True},
}
#: of no release
DAMAGED = {
    "no specification": "null",
    "no task and no file": json.dumps({"tenant": TENANT}),
    "a list": "[]",
    "no JSON": "{",
    "a task that is no text": json.dumps({**SPEC, "task": 7}),
    "settings that are no object": json.dumps({**SPEC, "settings": []}),
    "metadata of numbers": json.dumps({**SPEC, "metadata": {"a": 1}}),
}


def insert(trainer_env: TrainerEnv, spec: str, job_id: str = "job-odd", **columns: Any) -> None:
    values = {
        "id": job_id, "tenant": TENANT, "spec": spec, "status": "queued", "phase": "waiting",
        "progress": 0, "created_at": 0, "attempt": 0, "result": "{}", "revision": 0,
        "cancel_requested": 0, "pause_requested": 0, "token": 0, **columns,
    }  # fmt: skip
    marks = ", ".join("?" * len(values))
    with sqlite3.connect(trainer_env.directory / DATABASE_FILE) as db:
        db.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", [*values.values()])
    db.close()


@pytest.mark.parametrize("spec", NEWER.values(), ids=NEWER)
def test_a_job_of_a_newer_release_waits_for_a_newer_worker_and_others_go_on(
    trainer_env: TrainerEnv, spec: dict[str, Any]
) -> None:
    insert(trainer_env, json.dumps(spec))
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    claimed = trainer_env.store.claim("worker", 10.0)
    assert claimed is not None
    assert claimed.job.id == job.id
    left = trainer_env.trainer.get(TENANT, "job-odd")
    assert (left.status, left.error_code) == (Status.QUEUED, "unreadable_job")
    assert "of_a_newer_release" in str(left.error_message)
    assert left.spec.task == "mood"
    assert [each.id for each in trainer_env.trainer.list(TENANT)] == [job.id, "job-odd"]
    assert trainer_env.store.claim("worker", 10.0) is None


def test_what_is_known_of_a_newer_release_s_job_is_shown(trainer_env: TrainerEnv) -> None:
    insert(trainer_env, json.dumps(NEWER["a setting"]))
    assert trainer_env.trainer.get(TENANT, "job-odd").spec.settings.epochs == 3


def test_a_job_of_a_newer_release_is_paused_resumed_and_cancelled_like_any_other(
    trainer_env: TrainerEnv,
) -> None:
    insert(trainer_env, json.dumps(NEWER["a setting"]))
    assert trainer_env.trainer.pause(TENANT, "job-odd").status is Status.PAUSED
    assert trainer_env.trainer.resume(TENANT, "job-odd").status is Status.QUEUED
    assert trainer_env.trainer.cancel(TENANT, "job-odd").status is Status.CANCELLED


@pytest.mark.parametrize("spec", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_job_ends_with_a_reason_and_others_go_on(
    trainer_env: TrainerEnv, spec: str
) -> None:
    insert(trainer_env, spec)
    assert trainer_env.trainer.list(TENANT)[0].error_code == "unreadable_job"
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    claimed = trainer_env.store.claim("worker", 10.0)
    assert claimed is not None
    assert claimed.job.id == job.id
    ended = trainer_env.trainer.get(TENANT, "job-odd")
    assert (ended.status, ended.error_code) == (Status.FAILED, "unreadable_job")
    assert "damaged" in str(ended.error_message)
    assert [e.code for e in trainer_env.trainer.events(TENANT, "job-odd", limit=5)] == [
        "job.failed"
    ]
    assert [each.id for each in trainer_env.trainer.list(TENANT)] == [job.id, "job-odd"]


def test_a_damaged_job_whose_worker_was_lost_is_not_taken_up(trainer_env: TrainerEnv) -> None:
    insert(trainer_env, "{", status="running", attempt="many", lease_until=1.0)
    trainer_env.outlast(11.0)
    assert trainer_env.store.claim("worker", 10.0) is None
    assert trainer_env.trainer.get(TENANT, "job-odd").status is Status.FAILED


@pytest.mark.parametrize(
    "columns", [{"progress": "much"}, {"result": "["}, {"created_at": "then"}, {"attempt": 0.5}]
)
def test_a_damaged_column_damages_its_own_job_only(
    trainer_env: TrainerEnv, columns: dict[str, Any]
) -> None:
    insert(trainer_env, json.dumps(SPEC), **columns)
    [job] = trainer_env.trainer.list(TENANT)
    assert job.error_code == "unreadable_job"
    assert next(iter(columns)) in str(job.error_message)


def test_a_job_in_a_state_of_a_newer_release_is_listed_and_refuses_to_move(
    trainer_env: TrainerEnv,
) -> None:
    insert(trainer_env, json.dumps(SPEC), status="hibernating")
    [job] = trainer_env.trainer.list(TENANT)
    assert "hibernating" in str(job.error_message)
    with pytest.raises(UnreadableJob, match="hibernating"):
        trainer_env.trainer.cancel(TENANT, "job-odd")


def test_a_damaged_job_that_has_ended_is_listed_as_it_ended(trainer_env: TrainerEnv) -> None:
    insert(trainer_env, "{", status="cancelled")
    assert trainer_env.trainer.list(TENANT)[0].status is Status.CANCELLED
    with pytest.raises(JobEnded):
        trainer_env.trainer.cancel(TENANT, "job-odd")


def test_an_event_of_a_newer_release_is_listed(trainer_env: TrainerEnv) -> None:
    insert(trainer_env, json.dumps(SPEC))
    with sqlite3.connect(trainer_env.directory / DATABASE_FILE) as db:
        db.execute("INSERT INTO job_events VALUES (?, 'job-odd', 1, 0, 'debug', 'a', 'b', '{')",
                   [TENANT])  # fmt: skip
    db.close()
    [event] = trainer_env.trainer.events(TENANT, "job-odd", limit=5)
    assert (event.level, event.code, event.data) == ("info", "a", {})
