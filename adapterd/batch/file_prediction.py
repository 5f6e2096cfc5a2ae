"""Sends the rows of a file through a predictor and writes each with its answer. Knows neither files
nor calls, only rows, outputs and writers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from adapterd.batch.answer_writer import AnswerWriter, to_cell, with_id
from adapterd.batch.input_row import InputRow
from adapterd.batch.partial_file import Written
from adapterd.calls.batches import pin_version
from adapterd.errors import Refused, RowFailed
from adapterd.values import Output, Prediction, RowError

BAD_ROW = "bad_row"


class RowPredictor(Protocol):
    """Answers inputs in order, all by the version of the first answer."""

    first: Prediction | None

    def predict(self, inputs: Iterable[Any]) -> Iterator[Output]: ...


class FileRun:
    """The state of one run over a file: how many rows have been written, and which failed first."""

    def __init__(self, written: Written | None = None) -> None:
        """`written` is what an interrupted run has written already."""
        self.rows = written.rows if written else 0
        self.failed = written.failed if written else 0
        #: the version that answers, once it is known
        self.by = ""
        self.first_error = ""
        self.first_code = ""

    def raise_for_errors(self, where: str = "") -> None:
        """Raises RowFailed where a row has no answer; `where` says where the others are."""
        if self.failed:
            message = f"{self.describe()}{where}; {self.failed:,} failed"
            first = f"; first: {self.first_error}" if self.first_error else "."
            raise RowFailed(message + first, problem=self.first_code or None)

    def describe(self) -> str:
        by = f" by {self.by}" if self.by else ""
        noun = "row was" if self.rows == 1 else "rows were"
        return f"{self.rows - self.failed:,} of {self.rows:,} {noun} answered{by}"


def predict_rows(
    run: FileRun,
    predictor: RowPredictor,
    rows: Iterable[InputRow],
    writer: AnswerWriter,
    on_row: Callable[[], None] = lambda: None,
) -> None:
    """Each row gets its answer or its error; `run` is kept up to date while they are written."""
    waiting = deque[InputRow]()

    def send() -> Iterator[Any]:
        for row in rows:
            waiting.append(row)
            yield row.value if row.problem is None else _describe_problem(row)

    for output in predictor.predict(send()):
        row = waiting.popleft()
        if predictor.first is not None:
            run.by = pin_version(predictor.first)
        writer.write(row, output, run.by)
        run.rows += 1
        if isinstance(output, RowError):
            run.failed += 1
            run.first_error = run.first_error or f"line {row.line}: {output.message}"
            run.first_code = run.first_code or output.code
        on_row()


def skip_written(rows: Iterator[InputRow], written: Written) -> None:
    """Moves on to the first row that has no answer yet. Raises Refused where the last answered row
    is not this file's.
    """
    row = next(islice(rows, written.rows - 1, None), None) if written.rows else None
    if not written.rows:
        return
    last = written.last or {}
    fields = {} if row is None else with_id(row)
    columns = written.columns or fields  # a CSV has no column for a field of later rows alone
    expected = {name: to_cell(value) for name, value in fields.items() if name in columns}
    if row is None or any(to_cell(last.get(name)) != cell for name, cell in expected.items()):
        raise Refused(
            f"Row {written.rows} of the partial file is not row {written.rows} of the input, so "
            "the run cannot go on; pass the same input, or delete the partial file."
        )


def _describe_problem(row: InputRow) -> RowError:
    return RowError(code=BAD_ROW, message=f"The row cannot be sent: {row.problem}.")
