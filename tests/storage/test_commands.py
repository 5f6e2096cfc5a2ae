"""The operator's commands on storage, from flags to exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapterd.cli.exit_codes import ExitCode
from adapters_registry.audit.actor import ActorKind
from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.registry import Registry
from adapters_registry.storage import schema
from adapters_registry.storage.backup.backup import Backup
from adapters_registry.storage.backup.place import BackupPlace
from adapters_registry.storage.database_engines import make_engine
from adapters_registry.storage.shared_state import SharedState, open_database
from server.auth.shared_secret import shared_secret
from server.data_directory import LINK
from server.upkeep.storage import REFERENCES
from tests.client.commands import Ran, Run, command_runner
from tests.registry.build import publish

CORRUPT = "corrupt"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    call = command_runner(monkeypatch, capsys)

    def run_on_data(*arguments: object) -> Ran:
        given = () if "--data-dir" in arguments else ("--data-dir", tmp_path / "data")
        return call(*arguments, *given)

    return run_on_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    registry = Registry.open(tmp_path / "data")
    publish(registry)
    registry.close()
    return tmp_path / "data"


@pytest.mark.parametrize("option", ["--url", "--profile"])
def test_a_check_of_storage_calls_no_server(run: Run, data: Path, option: str) -> None:
    ran = run("doctor", "--storage", option, "http://other.example")
    assert ran.code == ExitCode.USAGE
    assert "`doctor --storage` opens the storage" in " ".join(ran.err.split())


def test_new_links_are_signed_by_another_secret(run: Run, data: Path) -> None:
    database = open_database(data)
    before = shared_secret(database, LINK)
    assert run("keys", "rotate-links").code == 0
    after = shared_secret(database, LINK)
    (event,) = AuditLog(database).list("")
    database.close()
    assert before != after
    assert (event.change.action, event.actor.kind) == ("secret.rotate", ActorKind.OPERATOR)


def hurt_one(data: Path) -> None:
    blob = max(data.glob("blobs/sha256/*/*"))
    blob.write_bytes(bytes(blob.stat().st_size))


@pytest.mark.survival("G9")
def test_a_backup_is_restored_elsewhere(run: Run, data: Path, tmp_path: Path) -> None:
    made = run("backup", tmp_path / "backup", "--json").json()
    assert made["num_blobs"] == 2
    ran = run("restore", tmp_path / "backup", "--data-dir", tmp_path / "new")
    assert ran.out == f"restored {made['id']}: 2 stored files\n"
    registry = Registry.open(tmp_path / "new")
    assert registry.resolve("acme", "mail").number == 1
    registry.close()


@pytest.mark.survival("G9")
def test_a_restore_over_data_is_refused_without_its_flag(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("backup", tmp_path / "backup")
    ran = run("restore", tmp_path / "backup")
    assert (ran.code, ran.out) == (4, "")
    assert "pass --replace to lose them" in ran.err
    assert "[not_empty]" in ran.err
    assert run("restore", tmp_path / "backup", "--replace").code == 0


def test_a_folder_without_a_backup_is_named(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    ran = run("restore", tmp_path / "nothing", "--json")
    assert ran.code == 1
    assert json.loads(ran.err)["error"]["code"] == "backup_unusable"


@pytest.mark.survival("G4", "G9")
def test_the_doctor_fails_for_a_hurt_version_and_mends_it_from_a_backup(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("backup", tmp_path / "backup")
    assert run("doctor", "--storage").out == "rows and bytes are in step\n"
    hurt_one(data)
    ran = run("doctor", "--storage", "--json")
    assert ran.code == 1
    [finding] = ran.json()
    assert (finding["fault"], finding["harmless"]) == (CORRUPT, False)
    assert "task mail" in finding["owners"][0]
    assert run("doctor", "--storage", "--repair").code == 1
    ran = run("doctor", "--storage", "--repair", "--from", tmp_path / "backup")
    assert ran.code == 0
    assert "restored from the backup" in ran.out
    assert run("doctor", "--storage").code == 0


@pytest.mark.survival("G4", "G9")
def test_a_damaged_backup_is_restored_as_far_as_it_goes_and_the_command_fails(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("backup", tmp_path / "backup")
    blob = max((tmp_path / "backup").glob("blobs/*/*"))
    blob.write_bytes(bytes(blob.stat().st_size))
    ran = run("restore", tmp_path / "backup", "--data-dir", tmp_path / "new")
    assert ran.code == 1
    assert f"{blob.name} of the backup" in ran.err
    assert "1 of them are in quarantine" in ran.err
    ran = run("restore", tmp_path / "backup", "--data-dir", tmp_path / "again", "--json")
    assert (ran.code, list(json.loads(ran.out)["damaged"])) == (1, [blob.name])


def test_a_mistyped_backup_is_named_and_not_made(run: Run, data: Path, tmp_path: Path) -> None:
    for command in (("restore",), ("doctor", "--storage", "--repair", "--from")):
        ran = run(*command, tmp_path / "mistyped")
        assert (ran.code, "there is no directory" in ran.err) == (1, True)
    assert not (tmp_path / "mistyped").exists()


def test_what_the_doctor_mended_is_in_the_log(run: Run, data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "backup")
    run("doctor", "--storage")
    hurt_one(data)
    run("doctor", "--storage", "--repair", "--from", tmp_path / "backup")
    registry = Registry.open(data)
    [event] = registry.audit.list("")
    assert event.change.action == "storage.repair"
    assert event.change.after is not None
    assert event.change.after["mended"] == 1
    registry.close()


def test_flags_of_storage_need_the_flag(run: Run, data: Path) -> None:
    ran = run("doctor", "--repair")
    assert ran.code == 2
    assert "for `doctor --storage`" in ran.err


@pytest.mark.survival("G8")
def test_collect_says_what_it_would_delete_and_then_does(run: Run, data: Path) -> None:
    registry = Registry.open(data)
    registry.delete_task("acme", "mail")
    registry.close()
    preview = run("collect", "--dry-run", "--grace", "0s", "--json").json()
    assert preview["num_deleted"] == 2
    assert len(list(data.glob("blobs/sha256/*/*"))) == 2
    assert run("collect", "--grace", "0s", "--json").json()["num_deleted"] == 2
    assert list(data.glob("blobs/sha256/*/*")) == []


def test_a_grace_that_is_no_duration_is_refused(run: Run, data: Path) -> None:
    ran = run("collect", "--grace", "soon")
    assert (ran.code, ran.err) == (
        2, "adapterd: --grace soon: pass a number with s, m, h or d, such as 1h [bad_setting]\n",
    )  # fmt: skip


@pytest.mark.survival("G7")
def test_migrate_brings_an_older_database_forward(run: Run, data: Path) -> None:
    engine = make_engine(f"sqlite:///{data / 'adapterd.db'}")
    schema.downgrade(engine, "0002")
    ran = run("migrate", "--check")
    assert ran.code == 1
    assert f"has schema 0002, this release needs {schema.head()}" in ran.err
    assert run("collect").code == 1
    newest = f"the database had schema 0002, and has {schema.head()} now\n"
    assert run("migrate").out == newest
    assert (
        run("migrate").out == f"the database has schema {schema.head()}, and this release can run\n"
    )
    assert run("migrate", "--check").code == 0
    engine.dispose()


def test_migrate_names_the_revisions_that_it_knows(run: Run, data: Path) -> None:
    ran = run("migrate", "--to", "0815")
    assert ran.code == 1
    assert "knows no schema 0815; it knows 0001, 0002" in ran.err


@pytest.mark.survival("F7")
def test_a_tenant_is_erased_only_when_confirmed(run: Run, data: Path) -> None:
    ran = run("erase", "tenant", "acme")
    assert "mail@1" in ran.out
    assert "nothing was changed; pass --yes" in ran.err
    assert run("erase", "tenant", "acme", "--yes", "--now", "--json").json()["erased"] is True
    assert list(data.glob("blobs/sha256/*/*")) == []
    assert run("erase", "tenant", "acme", "--yes").code == 3


def test_a_file_that_is_not_there_is_not_found(run: Run, data: Path) -> None:
    assert run("erase", "file", "file-1", "--tenant", "acme").code == 3


def test_what_an_operator_did_is_in_the_log(run: Run, data: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "backup")
    run("restore", tmp_path / "backup", "--replace")
    registry = Registry.open(data)
    [event] = registry.audit.list("")
    assert (event.change.action, event.actor.kind) == ("storage.restore", "operator")
    registry.close()


@pytest.mark.parametrize(
    "command",
    [
        ("migrate", "--check"),
        ("collect", "--dry-run"),
        ("collect",),
        ("doctor", "--storage"),
        ("erase", "tenant", "acme"),
        ("backup", "backup"),
    ],
    ids=" ".join,
)
def test_a_directory_that_is_none_is_named_and_not_made(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    ran = run(*command, "--data-dir", tmp_path / "mistyped")
    assert ran.code == 1
    assert f"there is no database {tmp_path}/mistyped/adapterd.db" in ran.err
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.survival("F7", "G9")
def test_an_erasure_that_a_backup_holds_up_says_so_and_fails(
    run: Run, data: Path, tmp_path: Path
) -> None:
    state = SharedState.open(data)
    place = BackupPlace(str(tmp_path / "backup"))
    with Backup(state.database, state.blobs, REFERENCES, place)._holding():
        ran = run("erase", "tenant", "acme", "--yes", "--now")
    state.close()
    assert ran.code == 1
    assert "no bytes were deleted: the backup" in ran.err
    assert len(list(data.glob("blobs/sha256/*/*"))) == 2


@pytest.mark.parametrize("command", [("audit", "verify"), ("audit", "list"), ("keys", "list")])
def test_what_only_reads_makes_no_database(
    run: Run, tmp_path: Path, command: tuple[str, str]
) -> None:
    ran = run(*command, "--data-dir", tmp_path / "typo")
    assert ran.code == 4
    assert f"there is no database {tmp_path / 'typo' / 'adapterd.db'}" in ran.err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("command", [("audit", "verify"), ("keys", "list"), ("keys", "create")])
def test_what_reads_and_writes_rows_leaves_the_schema_of_a_server_as_it_is(
    run: Run, data: Path, command: tuple[str, str]
) -> None:
    engine = make_engine(f"sqlite:///{data / 'adapterd.db'}")
    schema.downgrade(engine, "0004")
    ran = run(*command)
    assert ran.code == 4
    assert "run `adapterd migrate`" in ran.err
    assert schema.current(engine) == "0004"
    engine.dispose()


def test_the_first_key_makes_the_database_and_says_so(run: Run, tmp_path: Path) -> None:
    ran = run("keys", "create")
    assert f"made the database {tmp_path / 'data' / 'adapterd.db'}" in ran.err
    assert "made the database" not in run("keys", "create").err
    assert len(run("keys", "list", "--json").json()) == 2


@pytest.mark.survival("G9")
def test_a_database_that_was_only_migrated_takes_a_backup(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("backup", tmp_path / "backup")
    run("migrate", "--data-dir", tmp_path / "new")
    assert run("restore", tmp_path / "backup", "--data-dir", tmp_path / "new").code == 0


@pytest.mark.survival("G7")
def test_going_back_asks_before_it_drops_the_log_and_keys(run: Run, data: Path) -> None:
    run("keys", "create")
    ran = run("migrate", "--to", "0003")
    assert ran.code == 4
    assert "drops tables with rows: api_key (1), audit_event (2)" in ran.err
    assert run("migrate", "--check").code == 0
    assert run("migrate", "--to", "0003", "--yes").code == 0
    assert run("migrate", "--check").code == 1


def test_a_step_back_is_in_the_log_where_one_is_left(run: Run, data: Path) -> None:
    run("migrate", "--to", "0005", "--yes")
    run("migrate")
    back, forth = run("audit", "list", "--tenant", "", "--json").out.splitlines()
    facts = [(json.loads(line)["before"], json.loads(line)["after"]) for line in (back, forth)]
    old, new = {"schema": "0005"}, {"schema": schema.head()}
    assert facts == [(new, old), (old, new)]


@pytest.mark.survival("G9", "F7")
def test_a_restore_keeps_keys_revoked_and_tells_what_was_erased_since(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("keys", "create")
    [key] = run("keys", "list", "--json").json()
    run("backup", tmp_path / "backup")
    run("keys", "revoke", key["id"])
    run("erase", "tenant", "acme", "--yes")
    ran = run("restore", tmp_path / "backup", "--replace")
    assert f"revoked since the backup, and revoked still: {key['id']}" in ran.err
    assert "run `adapterd erase tenant acme --yes --now` again" in ran.err
    assert run("keys", "list", "--json").json() == []
    assert run("audit", "verify").code == 0
    [restored] = run("audit", "list", "--tenant", "", "--json").out.splitlines()
    assert json.loads(restored)["after"]["erased_since"] == [["acme", "acme"]]
