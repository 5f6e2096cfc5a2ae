"""Progress that a program asks for: of many rows, or of a job, on stderr. Loads rich to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapterd.values import Job

#: called with how much was done since the last call
Advance = Callable[[float], None]


def count_rows(rows: object) -> int | None:
    """How many there are; None if only reading them can tell."""
    return len(rows) if isinstance(rows, Sized) else None


@contextmanager
def row_progress(
    name: str, total: float | None, *, is_shown: bool, rows: Callable[[], int] | None = None
) -> Iterator[Advance]:
    """A bar while the block runs, with rows a second and the time left.

    `total` is in the unit of what the callback gets; if that is not rows, `rows` counts them.
    """
    if not is_shown:
        yield lambda _amount: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console) as bars:
        bar = bars.add_task(name, total=total, detail="")

        def advance(amount: float) -> None:
            task = bars.tasks[0]
            done = rows() if rows is not None else int(task.completed + amount)
            rate = done / max(task.elapsed or 0.0, 1e-3)
            bars.update(bar, advance=amount, detail=f"{done:,} rows, {rate:,.0f} rows/s")

        yield advance


@contextmanager
def show_job(task: str, *, is_shown: bool) -> Iterator[Callable[[Job], None]]:
    """A bar while the block runs; yields the callback that takes the job's new states."""
    if not is_shown:
        yield lambda _job: None
        return
    from rich.console import Console

    from adapterd.terminal.progress import JobProgress

    with JobProgress(Console(stderr=True)) as bars:
        yield bars.follow(task)
