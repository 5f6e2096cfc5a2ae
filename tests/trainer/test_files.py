"""Uploads: whole or not at all, and each seen by its own tenant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from adapters_registry.storage import blob_table
from adapters_registry.storage.blobs import Blob
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from tests.trainer.storage import BOTH
from trainer.errors import FileInUse, FileTooLarge, StorageFailed, UnknownFile
from trainer.jobs.values import FileQuery, FileRecord, JobSpec

STORAGES = BOTH


def stored(trainer_env: TrainerEnv) -> list[str]:
    """The objects in the store, and what uploads left on this machine."""
    left = [path.name for path in (trainer_env.directory / "uploads").glob("*/*")]
    return [each.name for each in trainer_env.state.blobs.store.list()] + left


def damage(trainer_env: TrainerEnv, record: FileRecord, content: bytes | None) -> None:
    """Change what is stored behind everybody's back, or lose it."""
    (name,) = (n for n in stored(trainer_env) if record.sha256 in n)
    blobs = trainer_env.state.blobs
    blobs.store.delete(name)
    if blobs.cache is not None:
        blobs.cache.drop(record.sha256)
    if content is not None:
        wrong = trainer_env.directory / "wrong"
        wrong.write_bytes(content)
        blobs.store.put(name, wrong)


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
    (name,) = stored(trainer_env)
    assert re.fullmatch(rf"sha256/../{record.sha256}\.\w+", name)


def test_the_same_content_takes_room_once_and_outlives_one_of_its_files(
    trainer_env: TrainerEnv,
) -> None:
    first, second = trainer_env.upload(b"rows"), trainer_env.upload(b"rows")
    theirs = trainer_env.files.put("other", "a", "train", [b"rows"], 10)
    assert len(stored(trainer_env)) == 1
    trainer_env.files.delete(TENANT, first.id)
    assert trainer_env.files.read(TENANT, second.id) == b"rows"
    assert trainer_env.files.read("other", theirs.id) == b"rows"


@pytest.mark.survival("G8")
def test_an_upload_whose_bytes_are_collected_before_its_record_is_written_is_stored_again(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, put = trainer_env.state.blobs, trainer_env.state.blobs.put
    puts: list[Blob] = []

    def put_and_collect(source: Path) -> Blob:
        puts.append(put(source))
        if len(puts) == 1:
            with blobs.database.write() as db:
                row = blob_table.find(db, puts[0].sha256)
                assert row is not None
                assert blob_table.remove(db, row)
            blobs.store.delete(row.object)
        return puts[-1]

    monkeypatch.setattr(blobs, "put", put_and_collect)
    record = trainer_env.upload(b"rows")
    assert len(puts) == 2
    assert trainer_env.files.read(TENANT, record.id) == b"rows"


@pytest.mark.survival("G4")
@pytest.mark.parametrize("content", [b"sa", b"lame", None], ids=["short", "changed", "gone"])
def test_content_that_is_not_what_was_uploaded_is_never_read_and_an_upload_mends_it(
    trainer_env: TrainerEnv, content: bytes | None
) -> None:
    first = trainer_env.upload(b"same")
    damage(trainer_env, first, content)
    with pytest.raises(UnknownFile, match="upload it again"):
        trainer_env.files.read(TENANT, first.id)
    if content == b"lame" and trainer_env.state.blobs.cache is not None:
        return  # a bucket's content is compared by its size when it is stored again
    trainer_env.upload(b"same")
    assert trainer_env.files.read(TENANT, first.id) == b"same"


def test_a_copy_of_this_machine_that_went_wrong_is_fetched_again(
    trainer_env: TrainerEnv,
) -> None:
    if trainer_env.state.blobs.cache is None:
        pytest.skip("the store is a directory of this machine, and there are no copies")
    record = trainer_env.upload(b"rows")
    trainer_env.files.path(TENANT, record.id).write_bytes(b"cows")
    assert trainer_env.files.read(TENANT, record.id) == b"rows"


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
    with pytest.raises(UnknownFile):
        trainer_env.files.get(TENANT, job.spec.file_id)


def test_the_sweep_removes_what_dead_uploads_left_and_no_other(trainer_env: TrainerEnv) -> None:
    uploads = trainer_env.directory / "uploads"

    def chunks() -> Iterator[bytes]:
        yield b"x"
        swept.extend(trainer_env.files.sweep())
        yield b"y"

    swept: list[str] = []
    (uploads / "dead").mkdir(parents=True)
    (uploads / "dead" / "upload").write_bytes(b"half")
    record = trainer_env.files.put(TENANT, "a", "train", chunks(), 10)
    assert swept == ["dead"]
    assert trainer_env.files.read(TENANT, record.id) == b"xy"
    assert list(uploads.iterdir()) == []


def test_two_uploads_of_one_name_at_a_time_leave_it_to_one_of_them(
    trainer_env: TrainerEnv,
) -> None:
    def upload(number: int) -> str:
        content = [b"%d" % number]
        return trainer_env.files.put(TENANT, "a", "train", content, 10, "reviews").id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(upload, range(8)))
    (named,) = trainer_env.files.list(TENANT, query=FileQuery(name="reviews"))
    assert named.id in ids


def test_a_file_is_deleted_or_a_job_needs_it_and_never_both(trainer_env: TrainerEnv) -> None:
    def submit(number: int) -> bool:
        spec = JobSpec(tenant=TENANT, task="mood", file_id=records[number].id)
        with suppress(UnknownFile):
            return trainer_env.store.submit(f"job-{number}", spec).id != ""
        return False

    def delete(number: int) -> bool:
        with suppress(FileInUse):
            trainer_env.files.delete(TENANT, records[number].id)
            return True
        return False

    records = [trainer_env.upload(b"%d" % number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        ends = [(pool.submit(submit, n), pool.submit(delete, n)) for n in range(8)]
    assert all(submitted.result() != deleted.result() for submitted, deleted in ends)


def test_an_id_of_any_characters_is_looked_for(trainer_env: TrainerEnv) -> None:
    trainer_env.upload(b"x")
    for odd in ("file-\0", "\ud800", "\U0010ffff", ""):
        with pytest.raises(UnknownFile):
            trainer_env.files.get(TENANT, odd)
        assert list(trainer_env.files.list(TENANT, query=FileQuery(name=odd or "-"))) == []
