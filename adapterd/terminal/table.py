"""Layout of tables and of facts: columns that fit a terminal, tab-separated lines in a pipe.

Knows no value of the API.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapterd.terminal.progress import format_duration

_GAP = 2
#: a column whose cells wrap is never narrower
_MIN_WRAPPED = 14
_ID_CHARS = 12
_AN_HOUR, _A_DAY = 3600, 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value in two forms: short for people, and complete for the program behind a pipe."""

    shown: str
    exact: str


def stdout_console() -> Console:
    """Writes to stdout; only a terminal gets its lines wrapped."""
    console = Console()
    console.soft_wrap = not console.is_terminal
    return console


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    wrapped: Collection[str],
) -> None:
    """Of columns without room the last are left out, and named; only `wrapped` ones are broken."""
    listed = list(rows)
    if not console.is_terminal:
        _print_lines(console, [columns, *listed])
        return
    cells = [[_show(cell) for cell in row] for row in listed]
    kept = _fitting(console.width, columns, cells, wrapped)
    console.print(Text(title, style="bold"))
    if not cells:
        return
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for name in kept:
        if name in wrapped:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, no_wrap=True)
    for row in cells:
        table.add_row(*(cell for name, cell in zip(columns, row, strict=True) if name in kept))
    console.print(table)
    if dropped := [name for name in columns if name not in kept]:
        sentence = f"Too narrow for: {', '.join(dropped)}. A pipe or --json has all columns."
        console.print(Text(sentence, style="dim"))


def print_facts(console: Console, title: str, facts: Mapping[str, object]) -> None:
    """A line for each fact that is not None."""
    known = [(name, fact) for name, fact in facts.items() if fact is not None]
    if not console.is_terminal:
        _print_lines(console, [(title,), *known])
        return
    console.print(Text(title, style="bold"), overflow="fold")
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in known:
        table.add_row(name, _show(fact))
    console.print(table)


# ---------------------------------------------------------------- cells


def id_cell(name: str) -> Cell:
    """The start of an id; commands take any start that names one thing."""
    return Cell(shown=name[:_ID_CHARS], exact=name)


def time_cell(seconds: float) -> Cell:
    """`5 min ago` for people, ISO 8601 in UTC for programs."""
    return Cell(shown=f"{format_age(time.time() - seconds)} ago", exact=format_time(seconds))


def size_cell(num_bytes: int) -> Cell:
    return Cell(shown=format_bytes(num_bytes), exact=str(num_bytes))


def format_age(seconds: float) -> str:
    """The duration in its largest unit."""
    whole = max(round(seconds), 0)
    if whole < _AN_HOUR:
        return format_duration(whole - whole % 60 if whole >= 60 else whole).removesuffix(" 0 s")
    return f"{whole // _AN_HOUR} h" if whole < 2 * _A_DAY else f"{whole // _A_DAY} days"


def format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_bytes(num_bytes: int) -> str:
    """As `ls -h` has it, with the unit in full."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


# ---------------------------------------------------------------- layout


def _print_lines(console: Console, rows: Iterable[Sequence[object]]) -> None:
    for row in rows:
        console.file.write("\t".join(map(_write_exact, row)) + "\n")
    console.file.flush()


def _write_exact(cell: object) -> str:
    """On one line, whatever it holds."""
    text = cell.exact if isinstance(cell, Cell) else "" if cell is None else str(cell)
    return " ".join(text.replace("\t", " ").splitlines())


def _show(cell: object) -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(cell.shown if isinstance(cell, Cell) else "" if cell is None else str(cell))


def _fitting(
    width: int, columns: Sequence[str], rows: Sequence[Sequence[Text]], wrapped: Collection[str]
) -> list[str]:
    """The columns that fit beside each other; the first always does."""
    needed = {
        name: max(cell_len(name), *(cell_len(row[place].plain) for row in rows), 0)
        for place, name in enumerate(columns)
    }
    for name in wrapped:
        needed[name] = min(needed[name], _MIN_WRAPPED)
    kept = list(columns)
    while len(kept) > 1 and sum(needed[name] + _GAP for name in kept) - _GAP > width:
        kept.remove(next((name for name in reversed(kept) if name not in wrapped), kept[-1]))
    return kept
