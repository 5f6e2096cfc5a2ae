"""Uploads: whole or not at all, and each seen by its own tenant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.errors import FileInUse, FileTooLarge, StorageFailed, UnknownFile
from trainer.jobs.store import JobStore


def stored(trainer_env: TrainerEnv) -> list[str]:
    return [path.name for path in (trainer_env.directory / "files").iterdir()]


def test_an_upload_comes_back_byte_for_byte(trainer_env: TrainerEnv) -> None:
    record = trainer_env.files.put(TENANT, "a.jsonl", "train", [b"one", b"two"], 100)
    assert trainer_env.files.read(TENANT, record.id) == b"onetwo"
    assert (record.bytes, record.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())


@pytest.mark.survival("B2", "F1")
def test_another_tenant_does_not_see_a_file(trainer_env: TrainerEnv) -> None:
    record = trainer_env.upload(b"x")
    with pytest.raises(UnknownFile):
        trainer_env.files.get("other", record.id)
    with pytest.raises(UnknownFile):
        trainer_env.files.delete("other", record.id)
    assert list(trainer_env.files.list("other")) == []


def test_an_upload_above_the_limit_leaves_nothing(trainer_env: TrainerEnv) -> None:
    with pytest.raises(FileTooLarge, match="limit of 5 bytes"):
        trainer_env.files.put(TENANT, "a", "train", [b"abc", b"def"], 5)
    assert stored(trainer_env) == []


def test_an_upload_that_breaks_off_leaves_nothing(trainer_env: TrainerEnv) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises(StorageFailed):
        trainer_env.files.put(TENANT, "a", "train", chunks(), 100)
    assert stored(trainer_env) == []


@pytest.mark.survival("F1")
def test_a_name_is_kept_to_show_and_never_used_as_a_path(trainer_env: TrainerEnv) -> None:
    record = trainer_env.files.put(TENANT, "../../etc/pass\nwd", "train", [b"x"], 10)
    assert record.filename == "passwd"
    assert stored(trainer_env) == [record.id]


def test_pages_run_from_the_newest_on(trainer_env: TrainerEnv) -> None:
    ids = [trainer_env.upload(b"x").id for _ in range(3)]
    assert [r.id for r in trainer_env.files.list(TENANT, limit=2)] == [ids[2], ids[1]]
    assert [r.id for r in trainer_env.files.list(TENANT, after=ids[1])] == [ids[0]]


def test_a_file_that_a_queued_job_needs_is_not_deleted(trainer_env: TrainerEnv) -> None:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    with pytest.raises(FileInUse, match=job.id):
        trainer_env.files.delete(TENANT, job.spec.file_id)
    trainer_env.trainer.cancel(TENANT, job.id)
    trainer_env.files.delete(TENANT, job.spec.file_id)
    assert stored(trainer_env) == []


def test_the_sweep_removes_old_orphans_only(trainer_env: TrainerEnv) -> None:
    record = trainer_env.upload(b"x")
    (trainer_env.directory / "files" / "file-orphan.part").write_bytes(b"half")
    trainer_env.clock.now = 4e9
    assert list(trainer_env.files.sweep()) == ["file-orphan.part"]
    assert stored(trainer_env) == [record.id]


def test_a_database_that_cannot_be_opened_is_a_sentence(trainer_env: TrainerEnv) -> None:
    (trainer_env.directory / "taken").write_text("a file where a directory is needed")
    with pytest.raises(StorageFailed, match="cannot be opened"):
        JobStore.open(trainer_env.directory / "taken" / "jobs.db")
