"""Trainings by the Python clients and the command line, against a whole server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from adapterd import AsyncClient, Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.errors import Refused
from adapterd.terminal.progress import format_duration
from adapterd.values import Job, JobEvent
from tests.client.test_command_line import Run, run

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def long_job(client: Client, rows: Path) -> Iterator[Job]:
    """One that goes on until it is told otherwise."""
    ids = {"file_id": client.upload(rows).id}
    settings = {"epochs": 200, "patience": 200, "seeds": 20, "batch_rows": 1}
    job = client.create_job("endless", ids, settings=settings, metadata={"team": "blue"})
    yield job
    with suppress(Refused):  # of a job that has ended
        client.cancel_job(job.id)
    list(client.watch_job(job.id))


def until(client: Client, job_id: str, status: str) -> Job:
    for _ in range(500):
        if (job := client.job(job_id)).status == status:
            return job
        time.sleep(0.02)
    raise AssertionError(f"the job is {job.status}, not {status}")


def test_a_job_pauses_and_goes_on_when_asked(client: Client, long_job: Job) -> None:
    until(client, long_job.id, "running")
    client.pause_job(long_job.id)
    paused = until(client, long_job.id, "paused")
    assert paused.metadata == {"team": "blue"}
    assert client.resume_job(long_job.id).status == "queued"
    until(client, long_job.id, "running")
    client.cancel_job(long_job.id)
    codes = [event.code for event in client.job_events(long_job.id)]
    assert [code for code in codes if code in ("job.pausing", "job.paused")] == [
        "job.pausing",
        "job.paused",
    ]


def test_events_are_read_in_pages_by_code_and_as_they_come(client: Client, rows: Path) -> None:
    job = client.train("told", rows, head="classify", settings={"epochs": 2})
    told = list(client.job_events(job.id))
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert list(client.job_events(job.id, after=3)) == told[3:]
    published = list(client.job_events(job.id, codes=["version.published"]))
    assert published[0].data["ref"] == f"told@{job.version}"
    followed = list(client.follow_job(job.id, after=2))
    assert [each for each in followed if isinstance(each, JobEvent)] == told[2:]
    assert followed[-1] == job


async def test_the_asyncio_client_does_the_same(rows: Path) -> None:
    async with AsyncClient() as client:
        ids = {"file_id": (await client.upload(rows)).id}
        found = await client.estimate("mood", ids, settings={"epochs": 3})
        assert found.steps == 3 * 6  # 43 rows in batches of 8
        job = await client.create_job("later", ids, settings={"epochs": 2})
        followed = [each async for each in client.follow_job(job.id)]
        events = [event async for event in client.job_events(job.id)]
        assert [each for each in followed if isinstance(each, JobEvent)] == events


def test_an_estimate_queues_nothing(client: Client, rows: Path) -> None:
    before = len(list(client.jobs()))
    found = client.estimate("mood", {"file_id": client.upload(rows).id})
    assert found.rows == {"train": 43, "dev": 5, "test": 12}
    assert found.trainable_parameters > 0
    assert len(list(client.jobs())) == before


# ---------------------------------------------------------------- the command line


def test_the_command_pauses_resumes_and_cancels(run: Run, client: Client, long_job: Job) -> None:
    assert long_job.id in run("jobs", "pause", long_job.id).out
    until(client, long_job.id, "paused")
    assert run("jobs", "resume", long_job.id, "--json").json()["status"] in ("queued", "running")
    assert run("jobs", "cancel", long_job.id).code == ExitCode.OK
    list(client.watch_job(long_job.id))
    assert run("jobs", "pause", long_job.id).code == ExitCode.REFUSED


def test_the_command_shows_events_and_follows_a_job_to_its_end(
    run: Run, client: Client, rows: Path
) -> None:
    settings = {"epochs": 2, "batch_rows": 32}
    job = client.train("shown", rows, head="classify", settings=settings)
    lines = run("jobs", "events", job.id).out.splitlines()
    assert "job.queued" in lines[0]
    assert "job.succeeded" in lines[-1]
    only = run("jobs", "events", job.id, "--code", "version.published", "--json").json()
    assert only["data"]["ref"] == "shown@1"
    assert run("jobs", "events", job.id, "--follow").out.splitlines() == lines
    watched = run("jobs", "watch", job.id)
    assert watched.code == ExitCode.DO_NOT_SHIP  # four steps learn nothing of these rows
    assert "Do not ship" in watched.out
    assert "shown: succeeded" in watched.err


def test_watching_a_job_that_failed_exits_1(run: Run, client: Client, long_job: Job) -> None:
    client.cancel_job(long_job.id)
    assert run("jobs", "watch", long_job.id).code == ExitCode.FAILED


def test_a_dry_run_prints_what_it_would_take(run: Run, rows: Path) -> None:
    arguments = ("train", "cli", "--data", rows, "--head", "classify", "--dry-run")
    shown = run(*arguments).out
    assert "43 train, 5 dev, 12 test" in shown
    assert "(measured)" in shown
    found = run(*arguments, "--json").json()
    assert found["steps"] > 0
    assert found["basis"] == "measured"
    assert [each["preset"] for each in found["presets"]] == ["fast", "balanced", "thorough"]


def test_a_dry_run_compares_the_presets_and_marks_the_chosen_one(run: Run, rows: Path) -> None:
    arguments = ("train", "cli", "--data", rows, "--head", "classify", "--dry-run")
    assert "balanced (chosen)" in run(*arguments).out
    shown = run(*arguments, "--preset", "fast").out
    assert "fast (chosen)" in shown
    assert "layers, 1 seed" in shown
    refused = run(*arguments, "--preset", "best")
    assert refused.code != 0
    assert "preset is 'best'; it must be one of fast, balanced, thorough." in refused.err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (7380, "2 h 3 min")],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
