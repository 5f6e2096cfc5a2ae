"""The steps of the schema: forward and back, refused where a release does not know the way, and
usable by the release before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from adapters_registry.audit.tables import METADATA as AUDIT
from adapters_registry.errors import WrongSchema
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.index.tables import METADATA as REGISTRY
from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table, schema
from adapters_registry.storage.backup import table_rows
from adapters_registry.storage.blob_table import METADATA as BLOBS
from adapters_registry.storage.database import Database
from adapters_registry.storage.database_engines import make_engine
from adapters_registry.storage.shared_state import SharedState
from server.auth.key_table import METADATA as KEYS
from server.auth.shared_secret import METADATA as SECRETS
from trainer.jobs.file_store import FileStore
from trainer.jobs.schema import METADATA as JOBS
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore

#: made by the steps alone
_UNMAPPED = {"alembic_version", "schema_compatibility"}
#: of a version, and its digest
MANIFEST = (
    '{"base":{"fingerprint":"base","name":"toy"},"files":[{"path":"adapter_model.safetensors",'
    '"role":"adapter","sha256":"aa","size":4}],"kind":"lora","schema":1,"semantics":{}}'
)
DIGEST = "f1bd5034072c80b9730464ab7efa485c9ee55db882c33c251c30ae9199bd010e"
SPEC = '{"tenant":"acme","task":"mail","file_id":"file-1","settings":{}}'
#: as the releases with these revisions write them, frozen
EARLIER_STATEMENTS = {
    "0001": (
        "INSERT INTO task VALUES ('acme', 'mail', 2, 1.0, false)",
        "INSERT INTO version VALUES "
        f"('acme', 'mail', 1, '{DIGEST}', 'base', '{MANIFEST}', '{{}}', 'upload', 1, 4, 1.0)",
        "INSERT INTO version_file VALUES ('acme', 'mail', 1, 'adapter', 'aa')",
        "INSERT INTO alias VALUES ('acme', 'mail', 'production', 1, 1.0)",
        "INSERT INTO alias_event (tenant, task, alias, sequence, action, version, at, reason) "
        "VALUES ('acme', 'mail', 'production', 1, 'publish', 1, 1.0, '')",
        "INSERT INTO task_change VALUES ('acme', 'mail', 1)",
        "INSERT INTO publication VALUES ('acme', 'fence', 'mail', 1)",
        "INSERT INTO files (id, tenant, filename, purpose, bytes, sha256, created_at) "
        "VALUES ('file-1', 'acme', 'a.csv', 'train', 1, 'bb', 1.0)",
        "INSERT INTO file_names VALUES ('acme', 'rows', 'file-1')",
        "INSERT INTO jobs (id, tenant, spec, status, phase, progress, created_at, attempt, result, "
        "revision, cancel_requested, pause_requested, token) "
        f"VALUES ('job-1', 'acme', '{SPEC}', 'queued', 'waiting', 0, 1.0, 0, '{{}}', 0, false, "
        "false, 0)",
        "INSERT INTO job_files VALUES ('acme', 'job-1', 'file-1')",
        "INSERT INTO job_events VALUES ('acme', 'job-1', 1, 1.0, 'info', 'a', 'b', '{}')",
        "UPDATE jobs SET status = 'running', token = token + 1, worker = 'w', lease_until = 9.0",
        "UPDATE alias SET version = 1, moved_at = 2.0 WHERE task = 'mail'",
    ),
    "0002": (
        "INSERT INTO blob VALUES ('aa', 'sha256/aa/aa.1', 4, 'ready', 1.0, NULL, 1)",
        "UPDATE blob SET marked_at = 2.0, epoch = epoch + 1 WHERE sha256 = 'aa'",
    ),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path / 'adapterd.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = make_engine(url)
    yield made
    made.dispose()


def run(engine: sa.Engine, statements: tuple[str, ...]) -> None:
    with engine.execution_options(writes=True).begin() as db:
        for statement in statements:
            db.exec_driver_sql(statement)


def rows_of(engine: sa.Engine) -> dict[str, list[bytes]]:
    with engine.connect() as db:
        return {table.name: list(table_rows.dump(db, table)) for table in table_rows.reflect(db)}


@pytest.mark.survival("G7")
def test_the_tables_of_the_code_are_those_that_the_steps_make(engine: sa.Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"include_name": _is_mapped})
        assert compare_metadata(context, _union(REGISTRY, BLOBS, JOBS, AUDIT, KEYS, SECRETS)) == []


@pytest.mark.survival("G7")
def test_each_step_goes_forward_and_back_and_keeps_what_there_was(engine: sa.Engine) -> None:
    schema.upgrade(engine, "0001")
    run(engine, EARLIER_STATEMENTS["0001"])
    for earlier, later in zip(schema.revisions(), schema.revisions()[1:], strict=False):
        before = rows_of(engine)
        schema.go_to(engine, later)
        schema.go_to(engine, earlier)
        assert rows_of(engine) == before
        schema.go_to(engine, later)
        assert before.items() <= rows_of(engine).items()
    schema.go_to(engine, "0001")
    assert schema.current(engine) == "0001"


@pytest.mark.survival("G7")
def test_what_releases_before_write_to_the_newest_schema_is_read_by_this_one(
    engine: sa.Engine, tmp_path: Path
) -> None:
    schema.upgrade(engine)
    for statements in EARLIER_STATEMENTS.values():
        run(engine, statements)
    url = engine.url.render_as_string(hide_password=False)
    state = SharedState.open(tmp_path / "state", database_url=url)
    registry = Registry(state)
    version = registry.resolve("acme", "mail")
    assert (version.number, version.digest, version.source) == (1, DIGEST, "upload")
    [event] = registry.history("acme", "mail")
    assert (event.action, event.version, registry.task("acme", "mail").latest) == (
        "publish", 1, version,
    )  # fmt: skip
    assert registry.recall("acme", "mail") == version
    assert SqlIndex(state.database).find_fence("acme", "fence") == ("mail", 1)
    jobs = JobStore(state.database)
    job = jobs.job("acme", "job-1")
    assert (job.status, job.spec.file_id, job.error_code) == (Status.RUNNING, "file-1", None)
    [told] = jobs.list_events("acme", "job-1", limit=10)
    assert (told.code, told.message) == ("a", "b")
    file = FileStore(state.blobs, jobs, tmp_path / "uploads").get("acme", "file-1")
    assert (file.filename, file.name, file.sha256) == ("a.csv", "rows", "bb")
    with state.database.read() as db:
        blob = blob_table.find(db, "aa")
    assert blob is not None
    assert (blob.object, blob.marked_at, blob.epoch) == ("sha256/aa/aa.1", 2.0, 2)
    state.close()


@pytest.mark.survival("G7")
def test_a_database_of_an_older_release_is_refused_until_it_is_migrated(engine: sa.Engine) -> None:
    schema.upgrade(engine, "0001")
    with pytest.raises(WrongSchema, match=r"has schema 0001, this release needs .*adapterd migrat"):
        Database.open(engine.url, migrate=False)
    schema.upgrade(engine)
    Database.open(engine.url, migrate=False).close()


def test_an_empty_database_is_refused_until_it_is_migrated(engine: sa.Engine) -> None:
    with pytest.raises(WrongSchema, match="has schema none, this release needs"):
        Database.open(engine.url, migrate=False)


@pytest.mark.survival("G7")
def test_a_newer_schema_is_used_where_it_says_so_and_refused_where_not(engine: sa.Engine) -> None:
    schema.upgrade(engine)
    run(engine, ("UPDATE alembic_version SET version_num = '9999'",))
    Database.open(engine.url).close()
    run(engine, (f"DELETE FROM schema_compatibility WHERE revision = '{schema.head()}'",))
    with pytest.raises(WrongSchema, match="newer than this release reads"):
        Database.open(engine.url)
    with pytest.raises(WrongSchema, match="this release cannot take it back"):
        schema.downgrade(engine, "0001")


def test_a_revision_that_nobody_knows_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(WrongSchema, match="this release knows no schema 0815; it knows 0001"):
        schema.go_to(engine, "0815")
    assert schema.current(engine) is None


def test_two_processes_that_migrate_at_once_do_it_once(postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    engines = [make_engine(postgres_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(schema.upgrade, engines))
    assert schema.current(engines[0]) == schema.head()
    for engine in engines:
        engine.dispose()


def _union(*parts: sa.MetaData) -> sa.MetaData:
    whole = sa.MetaData()
    for part in parts:
        for table in part.sorted_tables:
            table.to_metadata(whole)
    return whole


def _is_mapped(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and name in _UNMAPPED)
