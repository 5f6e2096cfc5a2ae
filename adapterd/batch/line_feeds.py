"""Ends the rows of a CSV writer with a line feed. Knows no column."""

from __future__ import annotations

from typing import TextIO


class LineFeeds:
    """The stream of a `csv.writer` with its own line end, `\\r\\n`.

    With another one the writer leaves a carriage return inside a cell without quotes, and a reader
    takes it for the end of the row.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        """Takes one whole row, as `csv.writer` passes it."""
        return self._stream.write(row.removesuffix("\r\n") + "\n")
