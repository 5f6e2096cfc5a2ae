"""Uploads: whole or not at all, and each seen by its own tenant."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

import pytest

from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.errors import FileInUse, FileTooLarge, StorageFailed, UnknownFile
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileQuery, FileRecord


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


def test_the_same_content_takes_room_once_and_outlives_one_of_its_files(
    trainer_env: TrainerEnv,
) -> None:
    first, second = trainer_env.upload(b"rows"), trainer_env.upload(b"rows")
    paths = [trainer_env.files.path(TENANT, record.id) for record in (first, second)]
    assert paths[0].stat().st_ino == paths[1].stat().st_ino
    trainer_env.files.delete(TENANT, first.id)
    assert trainer_env.files.read(TENANT, second.id) == b"rows"
    theirs = trainer_env.files.put("other", "a", "train", [b"rows"], 10)
    path = trainer_env.files.path("other", theirs.id)
    assert path.stat().st_ino != paths[1].stat().st_ino


def test_a_sweep_leaves_a_file_that_shares_old_bytes_and_has_no_record_yet(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer_env.clock.now = time.time()
    first = trainer_env.upload(b"same")
    os.utime(trainer_env.directory / "files" / first.id, (0, 0))
    add = trainer_env.store.files.add
    swept: list[str] = []

    def sweep_before(record: FileRecord) -> None:
        swept.extend(trainer_env.files.sweep())
        add(record)

    monkeypatch.setattr(trainer_env.store.files, "add", sweep_before)
    second = trainer_env.upload(b"same")
    assert swept == []
    assert trainer_env.files.read(TENANT, second.id) == b"same"


def test_an_upload_does_not_share_bytes_that_were_cut_short(trainer_env: TrainerEnv) -> None:
    first = trainer_env.upload(b"same")
    (trainer_env.directory / "files" / first.id).write_bytes(b"sa")
    second = trainer_env.upload(b"same")
    assert trainer_env.files.read(TENANT, second.id) == b"same"
    assert sorted(stored(trainer_env)) == sorted([first.id, second.id])


def test_a_name_stands_for_the_newest_file_that_was_given_it(trainer_env: TrainerEnv) -> None:
    first, second = (
        trainer_env.files.put(TENANT, "a.csv", "train", [content], 10, "reviews")
        for content in (b"one", b"two")
    )
    named = trainer_env.files.list(TENANT, query=FileQuery(name="reviews"))
    assert [record.id for record in named] == [second.id]
    assert trainer_env.files.get(TENANT, first.id).name == ""
    assert trainer_env.files.list("other", query=FileQuery(name="reviews")) == []
    trainer_env.files.delete(TENANT, second.id)
    assert trainer_env.files.list(TENANT, query=FileQuery(name="reviews")) == []


def test_files_are_found_by_their_digest_and_the_start_of_their_id(trainer_env: TrainerEnv) -> None:
    first, second = trainer_env.upload(b"one"), trainer_env.upload(b"two")
    for query in (FileQuery(sha256=first.sha256), FileQuery(id_prefix=first.id[:20])):
        assert [record.id for record in trainer_env.files.list(TENANT, query=query)] == [first.id]
    both = trainer_env.files.list(TENANT, query=FileQuery(oldest_first=True))
    assert [record.id for record in both] == [first.id, second.id]


def test_a_start_of_an_id_of_any_length_and_case_is_looked_for_literally(
    trainer_env: TrainerEnv,
) -> None:
    record = trainer_env.upload(b"x")
    for prefix in (record.id.upper(), f"{record.id[:-1]}_", "%", "f" * 100_000):
        assert list(trainer_env.files.list(TENANT, query=FileQuery(id_prefix=prefix))) == []


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
