"""What a customer asks to be erased is gone, with its bytes, and nothing of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters_registry.errors import NotFound, UnknownTask, UnknownVersion
from adapters_registry.storage.backup import table_rows
from adapters_registry.storage.backup.backup import Backup
from adapters_registry.storage.backup.place import BackupPlace
from server.auth.key_table import KeyTable
from server.upkeep.erasure import Eraser, Erasure
from server.upkeep.storage import REFERENCES
from tests.registry.build import publish
from tests.registry.test_datasets import made_from
from tests.storage.conftest import Place
from trainer.errors import FileInUse, TenantInUse, UnknownFile
from trainer.jobs.events import Event
from trainer.jobs.file_store import FileStore
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileRecord, JobSpec


class Uploads:
    """Files and jobs beside the registry of a place."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.jobs = JobStore(place.database)
        self.files = FileStore(place.blobs, self.jobs, folder / "uploads")

    def put(self, content: bytes = b"secret rows", tenant: str = "acme") -> FileRecord:
        return self.files.put(tenant, "secret.csv", "train", [content], 1000, "secret-name")

    def run_job(self, file: FileRecord, status: Status = Status.SUCCEEDED) -> None:
        """Its owner and its trainer wrote down something of the rows, wherever they can."""
        spec = JobSpec(
            tenant=file.tenant,
            task="mail",
            file_id=file.id,
            metadata={"about": "secret rows"},
            suffix="secret",
        )
        self.jobs.submit("job-1", spec)
        claim = self.jobs.claim("w1", 60.0)
        assert claim is not None
        told = [Event(code="job.sample", message="secret rows", created_at=0.0)]
        self.jobs.beat(claim, 60.0, told)
        if status == Status.FAILED:
            words = "row 7 is 'secret rows'"
            self.jobs.finish(claim, status, error_code="bad_dataset", error_message=words)
        elif status.ended:
            self.jobs.finish(claim, status, result={"sample": "secret rows"})
        (self.folder / "job-1").mkdir(parents=True)

    @property
    def folder(self) -> Path:
        """Of checkpoints, on this machine."""
        return self.place.state.directory / "checkpoints"


@pytest.fixture
def uploads(place: Place, tmp_path: Path) -> Uploads:
    return Uploads(place, tmp_path)


def everything(place: Place) -> str:
    """All rows and objects as text, of the log too."""
    with place.database.read() as db:
        lines = [line for table in table_rows.reflect(db) for line in table_rows.dump(db, table)]
    return b"".join(lines).decode() + " ".join(each.name for each in place.blobs.store.list())


@pytest.mark.survival("F7")
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_a_file_goes_with_every_version_made_from_it(uploads: Uploads, status: Status) -> None:
    registry = uploads.place.registry
    file = uploads.put()
    again = uploads.put()
    publish(registry, value=1, lineage=made_from(file.sha256))
    publish(registry, value=2, lineage=made_from("cd" * 32), promote=True)
    publish(registry, "tags", value=3, lineage=made_from("cd" * 32, file.sha256))
    uploads.run_job(file, status)
    found = Eraser(uploads.place.state).erase_file("acme", file.id, now=True)
    assert found.versions == ("mail@1", "tags@1")
    assert found.aliases == ("tags@production",)
    assert found.files == (file.id, again.id)
    assert found.jobs == ("job-1",)
    registry.refresh()
    assert [version.number for version in registry.versions("acme", "mail")] == [2]
    with pytest.raises(UnknownVersion):
        registry.resolve("acme", "mail@1")
    assert "secret" not in everything(uploads.place)
    assert not (uploads.folder / "job-1").exists()
    left = [each.name for each in uploads.place.blobs.store.list()]
    assert not [name for name in left if file.sha256 in name]
    job = uploads.jobs.job("acme", "job-1")
    assert (job.status, job.spec.task, job.spec.file_id) == (status, "mail", file.id)


@pytest.mark.survival("F7")
def test_every_lineage_of_a_version_counts(uploads: Uploads) -> None:
    """The same content was trained twice, on two files."""
    registry = uploads.place.registry
    file = uploads.put()
    publish(registry, value=1, lineage=made_from("cd" * 32))
    publish(registry, value=1, lineage=made_from(file.sha256))
    assert Eraser(uploads.place.state).preview_file("acme", file.id).versions == ("mail@1",)


@pytest.mark.survival("F7")
def test_a_preview_changes_nothing(uploads: Uploads) -> None:
    file = uploads.put()
    publish(uploads.place.registry, lineage=made_from(file.sha256))
    before = everything(uploads.place)
    assert Eraser(uploads.place.state).preview_file("acme", file.id).versions == ("mail@1",)
    assert Eraser(uploads.place.state).preview_tenant("acme").num_rows
    assert everything(uploads.place) == before


def test_a_file_that_a_job_needs_is_not_erased(uploads: Uploads) -> None:
    file = uploads.put()
    uploads.run_job(file, Status.RUNNING)
    with pytest.raises(FileInUse, match="cancel the job first"):
        Eraser(uploads.place.state).erase_file("acme", file.id)
    assert uploads.files.get("acme", file.id) == file


def test_a_file_of_another_tenant_is_unknown(uploads: Uploads) -> None:
    file = uploads.put()
    with pytest.raises(UnknownFile):
        Eraser(uploads.place.state).erase_file("globex", file.id)


@pytest.mark.survival("F7")
def test_bytes_that_another_tenant_has_too_stay(uploads: Uploads) -> None:
    file, other = uploads.put(), uploads.put(tenant="globex")
    found = Eraser(uploads.place.state).erase_file("acme", file.id, now=True)
    assert found.num_deleted_blobs == 0
    assert uploads.files.read("globex", other.id) == b"secret rows"


@pytest.mark.survival("F7")
def test_of_a_tenant_nothing_is_left_but_the_log(uploads: Uploads) -> None:
    place = uploads.place
    file = uploads.put()
    publish(place.registry, lineage=made_from(file.sha256))
    kept = publish(place.registry, tenant="globex", value=9)
    uploads.run_job(file)
    found = Eraser(place.state).erase_tenant("acme", now=True)
    assert (found.jobs, found.num_rows_left) == (("job-1",), 0)
    assert "secret" not in everything(place)
    assert not (uploads.folder / "job-1").exists()
    with place.database.read() as db:
        left = {
            table.name
            for table in table_rows.reflect(db)
            for line in table_rows.dump(db, table)
            if b'"acme"' in line
        }
    assert left == {"task_change", "audit_event", "audit_head"}
    assert [e.change.action for e in place.registry.audit.list("acme")][-1] == "tenant.erase"
    assert place.registry.resolve("globex", "mail") == kept
    place.collector().run(0)
    assert all(path.is_file() for _, path, _ in place.registry.files(kept))


def test_a_tenant_without_anything_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match="nothing is stored for the tenant nobody"):
        Eraser(place.state).erase_tenant("nobody")


@pytest.mark.survival("F7")
def test_a_tenant_with_a_job_that_has_not_ended_is_not_erased(uploads: Uploads) -> None:
    uploads.run_job(uploads.put(), Status.RUNNING)
    key, _ = KeyTable(uploads.place.database).create("acme", "admin")
    with pytest.raises(TenantInUse, match="'job-1', which has not ended; cancel the job first"):
        Eraser(uploads.place.state).erase_tenant("acme")
    assert KeyTable(uploads.place.database).list() == [key]


@pytest.mark.survival("F7")
def test_what_is_written_while_a_tenant_is_erased_goes_too(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration that was under way commits after the deletes."""
    place, real, seen = uploads.place, Eraser._erase_rows, list[int]()
    KeyTable(place.database).create("acme", "admin")
    uploads.put()

    def erase_and_write(eraser: Eraser, tenant: str) -> Erasure:
        seen.append(len(KeyTable(place.database).list()))
        erasure = real(eraser, tenant)
        if len(seen) == 1:
            publish(place.registry)
        return erasure

    monkeypatch.setattr(Eraser, "_erase_rows", erase_and_write)
    found = Eraser(place.state).erase_tenant("acme", now=True)
    assert seen == [0, 0]  # its keys were revoked before
    assert (found.versions, found.num_rows_left) == (("mail@1",), 0)
    assert list(place.blobs.store.list()) == []


def test_what_is_written_again_and_again_is_told(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Eraser._erase_rows

    def erase_and_write(eraser: Eraser, tenant: str) -> Erasure:
        erasure = real(eraser, tenant)
        uploads.put()
        return erasure

    uploads.put()
    monkeypatch.setattr(Eraser, "_erase_rows", erase_and_write)
    assert Eraser(uploads.place.state).erase_tenant("acme").num_rows_left


@pytest.mark.survival("F7", "G9")
def test_while_a_backup_is_made_no_bytes_go_and_that_is_told(
    uploads: Uploads, tmp_path: Path
) -> None:
    place, file = uploads.place, uploads.put()
    where = BackupPlace(str(tmp_path / "backup"))
    with Backup(place.database, place.blobs, REFERENCES, where)._holding():
        found = Eraser(place.state).erase_file("acme", file.id, now=True)
    assert found.num_deleted_blobs == 0
    assert "is being made" in found.held_by


@pytest.mark.survival("F7")
def test_a_task_whose_only_version_went_is_not_listed_and_its_numbers_go_on(
    uploads: Uploads,
) -> None:
    registry, file = uploads.place.registry, uploads.put()
    publish(registry, value=1, lineage=made_from(file.sha256))
    publish(registry, "tags", value=2)
    Eraser(uploads.place.state, registry).erase_file("acme", file.id)
    assert [task.name for task in registry.tasks("acme")] == ["tags"]
    with pytest.raises(UnknownTask):
        registry.task("acme", "mail")
    assert publish(registry, value=3).number == 2
    assert [task.name for task in registry.tasks("acme")] == ["mail", "tags"]
