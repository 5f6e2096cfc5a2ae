"""The asyncio client: the same calls, the same values, the same errors."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from adapterd import AsyncClient, Client, errors

pytestmark = pytest.mark.usefixtures("environment")


async def test_it_trains_asks_and_lists(rows: Path) -> None:
    async with AsyncClient() as client:
        job = await client.train("mood", rows, head="classify", promote=True)
        predictions = await asyncio.gather(*(client.predict("mood", "good") for _ in range(20)))
        assert {p.digest for p in predictions} == {job.digest}
        many = await client.predict_many(["mood", "mood@1"], "good")
        assert {p.digest for p in many.raise_for_tasks()} == {job.digest}
        assert "mood" in [task.task async for task in client.tasks()]
        assert [j.id async for j in client.watch_job(job.id)][-1] == job.id


async def test_its_errors_are_the_sync_client_s() -> None:
    async with AsyncClient() as client:
        with pytest.raises(errors.NotFound) as raised:
            await client.predict("nothing", "text")
    assert raised.value.problem == "unknown_task"


def test_both_clients_offer_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {n: list(inspect.signature(f).parameters) for n, f in found if n[0] != "_"}

    assert methods(Client) == methods(AsyncClient)


async def test_it_stores_a_file_once_under_a_name_and_trains_on_it(rows: Path) -> None:
    async with AsyncClient() as client:
        stored, is_new = await client.store_file(rows, name="async-rows")
        again, is_again = await client.store_file(rows, name="async-rows")
        assert (is_new, is_again, again.id) == (True, False, stored.id)
        assert [file.id async for file in client.files(name="async-rows")] == [stored.id]
        job = await client.train("by-name", "dataset:async-rows", head="classify")
        assert job.status == "succeeded"
        await client.delete_file(stored.id)
        with pytest.raises(errors.NotFound, match="No file is stored under the name 'async-rows'"):
            await client.dataset("async-rows")


def test_a_refused_training_leaves_no_file_behind(tmp_path: Path) -> None:
    path = tmp_path / "refused.csv"
    path.write_text("text,label\n" + "".join(f"number {n},{n % 2}\n" for n in range(40)))
    with Client() as client:
        before = [file.id for file in client.files()]
        with pytest.raises(errors.Refused):
            client.train("none", path, head="classify", label_column="missing")
        assert [file.id for file in client.files()] == before
