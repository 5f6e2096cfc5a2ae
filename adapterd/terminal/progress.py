"""Progress of jobs and uploads: bars on a terminal, otherwise a line per change.

It goes to stderr by default, so that stdout stays machine-readable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from adapterd.values import Job, JobEvent

OnJob = Callable[[Job], None]
OnBytes = Callable[[int, int], None]
#: levels of events as people read them
_LEVELS = {"warn": "warning"}


class JobProgress:
    """The progress of several jobs: a bar for each, or lines without a terminal."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bars = _make_bars(console, quiet=quiet or not console.is_terminal)

    def follow(self, name: str) -> OnJob:
        """Adds a job; returns a callback that shows its new states. `name` labels its bar."""
        bar = self._bars.add_task(f"{name}: queued", total=1.0, detail="")
        phases: list[str] = []
        return lambda job: self._show(bar, phases, job)

    def show_updates(self, job: Job, updates: Iterable[Job | JobEvent], show_job: OnJob) -> Job:
        """Shows the job after each change, and prints its warnings and errors as they happen.
        Returns its last state.
        """
        for update in updates:
            if isinstance(update, JobEvent):
                self._print_event(update)
            else:
                job = update
                show_job(job)
        return job

    def _print_event(self, event: JobEvent) -> None:
        """Prints a warning or an error above the bars."""
        if event.level != "info" and not self._quiet:
            level = _LEVELS.get(event.level, event.level)
            line = f"{level}: {event.message}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> JobProgress:
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def _show(self, bar: TaskID, phases: list[str], job: Job) -> None:
        is_idle = job.has_ended or job.status == "paused"
        phase = job.status if is_idle else job.phase or job.status
        detail = f"{format_duration(job.eta_s)} left" if job.eta_s and not is_idle else ""
        description = f"{job.task}: {phase}"
        self._bars.update(bar, completed=job.progress, description=description, detail=detail)
        if not self._console.is_terminal and not self._quiet and phases[-1:] != [phase]:
            self._console.print(description, highlight=False)
            phases.append(phase)


@contextmanager
def upload_progress(name: str, *, quiet: bool) -> Iterator[OnBytes]:
    """A progress bar while the block runs; yields the callback that updates it."""
    with progress_bar(f"upload {name}", quiet=quiet) as on_bytes:
        yield on_bytes


@contextmanager
def progress_bar(name: str, *, quiet: bool) -> Iterator[OnBytes]:
    """The same for whatever has a size."""
    console = Console(stderr=True)
    with _make_bars(console, quiet=quiet or not console.is_terminal) as progress:
        bar = progress.add_task(name, total=None, detail="")
        yield lambda sent, size: progress.update(bar, completed=sent, total=max(size, 1))


def format_duration(seconds: float) -> str:
    """The duration in its two largest units."""
    whole = round(seconds)
    for size, name, below in ((3600, "h", 60), (60, "min", 1)):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name} {rest} {'s' if below == 1 else 'min'}"
    return f"{whole} s"


def _make_bars(console: Console, *, quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, TextColumn("{task.fields[detail]}"), console=console, disable=quiet)
