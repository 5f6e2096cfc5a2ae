"""Threads for one kind of work, shared among tenants."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from server.errors import Overloaded
from server.pools.work_pool import WorkPool
from tests.server.build import until


@pytest.fixture
def pool() -> Iterator[WorkPool]:
    made = WorkPool("checks", places=2, share=1, max_waiting=2, wait_s=30.0)
    yield made
    made.close()


@pytest.mark.survival("H2")
async def test_one_tenants_calls_leave_a_place_for_another_and_take_turns(pool: WorkPool) -> None:
    hold, done = threading.Event(), []
    holding = [asyncio.ensure_future(pool.run("acme", hold.wait)) for _ in range(3)]
    await until(lambda: pool.num_waiting == 2)
    assert await pool.run("globex", done.append, 1) is None
    assert pool.num_running == 1
    hold.set()
    await asyncio.gather(*holding)
    assert (pool.num_running, pool.num_waiting) == (0, 0)


async def test_more_than_may_wait_is_refused_with_a_time_to_come_back(pool: WorkPool) -> None:
    hold = threading.Event()
    holding = [asyncio.ensure_future(pool.run("acme", hold.wait)) for _ in range(3)]
    await until(lambda: pool.num_waiting == 2)
    with pytest.raises(Overloaded, match="checks") as refused:
        await pool.run("acme", hold.wait)
    assert refused.value.retry_after_s >= 1.0
    hold.set()
    await asyncio.gather(*holding)


async def test_whoever_waits_too_long_is_refused() -> None:
    pool, hold = (
        WorkPool("checks", places=1, share=1, max_waiting=2, wait_s=0.05),
        threading.Event(),
    )
    holding = asyncio.ensure_future(pool.run("acme", hold.wait))
    await until(lambda: pool.num_running == 1)
    with pytest.raises(Overloaded):
        await pool.run("globex", hold.wait)
    assert pool.num_waiting == 0
    hold.set()
    await holding
    pool.close()


@pytest.mark.survival("C10")
async def test_work_hears_that_its_caller_is_gone_and_holds_its_place_until_it_ends(
    pool: WorkPool,
) -> None:
    heard, end = threading.Event(), threading.Event()

    def work(gone: threading.Event) -> None:
        gone.wait(10)
        heard.set()
        end.wait(10)

    calling = asyncio.ensure_future(pool.run_cancellable("acme", work))
    await until(lambda: pool.num_running == 1)
    calling.cancel()
    await until(heard.is_set)
    assert pool.num_running == 1
    end.set()
    await until(lambda: pool.num_running == 0)


async def test_a_caller_who_leaves_the_line_is_passed_over(pool: WorkPool) -> None:
    hold, ran = threading.Event(), []
    first = asyncio.ensure_future(pool.run("acme", hold.wait))
    leaving = asyncio.ensure_future(pool.run("acme", ran.append, "left"))
    staying = asyncio.ensure_future(pool.run("acme", ran.append, "stayed"))
    await until(lambda: pool.num_waiting == 2)
    leaving.cancel()
    hold.set()
    await asyncio.gather(first, staying)
    assert ran == ["stayed"]
    assert (pool.num_running, pool.num_waiting) == (0, 0)


async def test_work_that_takes_too_long_is_refused_and_goes_on() -> None:
    hold, done = threading.Event(), threading.Event()
    pool = WorkPool(
        "writes", places=1, share=1, max_waiting=2, limit_s=0.05, late=lambda: KeyError("late")
    )

    def work() -> None:
        hold.wait(10)
        done.set()

    with pytest.raises(KeyError, match="late"):
        await pool.run("acme", work)
    assert pool.num_running == 1
    hold.set()
    await until(done.is_set)
    await until(lambda: pool.num_running == 0)
    assert await pool.run("acme", lambda: 3) == 3
    pool.close()


async def test_nobody_waits_for_places_that_late_work_holds() -> None:
    hold = threading.Event()
    pool = WorkPool(
        "writes", places=2, share=1, max_waiting=2, limit_s=0.05, late=lambda: KeyError("late")
    )
    with pytest.raises(KeyError):
        await pool.run("acme", hold.wait)
    with pytest.raises(KeyError):
        await pool.run("acme", lambda: 1)
    assert (pool.num_waiting, pool.num_running) == (0, 1)
    assert await pool.run("globex", lambda: 2) == 2
    hold.set()
    await until(lambda: pool.num_running == 0)
    pool.close()


async def test_an_error_of_the_work_that_looks_like_a_time_limit_is_passed_on() -> None:
    pool = WorkPool("writes", places=1, share=1, max_waiting=2, limit_s=10.0, late=KeyError)

    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await pool.run("acme", fail)
    pool.close()


def test_the_end_of_a_process_does_not_wait_for_work_that_never_ends() -> None:
    program = (
        "import asyncio, threading\n"
        "from server.pools import daemon_threads\n"
        "from server.pools.work_pool import WorkPool\n"
        "daemon_threads._CLOSE_S = 0.05\n"
        "async def main():\n"
        "    pool = WorkPool('w', places=1, share=1, max_waiting=1, limit_s=0.05)\n"
        "    try:\n"
        "        await pool.run('a', threading.Event().wait)\n"
        "    except TimeoutError:\n"
        "        pool.close()\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
