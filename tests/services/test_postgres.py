"""The tests' PostgreSQL server: fresh databases, and stops that it survives."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from tests.services.databases import Databases
from tests.services.postgres import PostgresServer


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    """What one connection of its own reads."""
    engine = create_engine(url, connect_args={"connect_timeout": 2})
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_database_is_fresh_for_each_test(postgres_url: str, attempt: int) -> None:
    engine = create_engine(postgres_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    run(postgres_url, "CREATE TABLE noted (number int)")


def test_a_copy_of_a_database_has_its_rows(databases: Databases, postgres_url: str) -> None:
    run(postgres_url, "CREATE TABLE noted AS SELECT 7 AS number")
    copy = databases.copy(postgres_url)
    run(postgres_url, "DROP TABLE noted")
    assert run(copy, "SELECT number FROM noted") == [(7,)]
    databases.drop(copy)


def test_a_database_is_dropped_under_an_open_connection(databases: Databases) -> None:
    url = databases.create()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        databases.drop(url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill])
def test_a_server_that_went_down_starts_again_with_its_data(
    postgres_server: PostgresServer, end: object
) -> None:
    url = postgres_server.url()
    run(url, "CREATE TABLE noted AS SELECT 7 AS number")
    end(postgres_server)  # type: ignore[operator]
    with pytest.raises(OperationalError, match="refused"):
        run(url, "SELECT 1")
    postgres_server.start()
    assert run(url, "SELECT number FROM noted") == [(7,)]


def test_a_paused_server_does_not_answer_and_goes_on_afterwards(
    postgres_server: PostgresServer,
) -> None:
    with psycopg.connect(postgres_server.url().replace("+psycopg", "")) as connection:
        postgres_server.pause()
        with pytest.raises(OperationalError, match="timeout"):
            run(postgres_server.url(), "SELECT 1")
        postgres_server.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("databases")
def test_a_server_is_gone_after_its_run_is_killed(tmp_path: Path) -> None:
    """Nobody is left to stop it, so it stops itself and takes its folder along."""
    program = (
        "import os\n"
        "from tests.services.postgres import PostgresServer\n"
        "server = PostgresServer()\n"
        "print(server._folder, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    folder = Path(killed.stdout.decode().strip())
    end = time.monotonic() + 20
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()
