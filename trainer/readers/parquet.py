"""Parquet, read in a short-lived child process with limits on rows, bytes, memory and time, because
pyarrow is large and a small file may expand to very many rows.

The child (`python -m trainer.readers.parquet`) reads the file from stdin and writes a JSON line per
row, so that rows have the checks of JSONL lines.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any

from engine.child_process import start_module
from trainer.errors import BadDataset, BadLine
from trainer.readers.jsonl import read_jsonl
from trainer.readers.record import Record

MARK = b"PAR1"
_MAX_ROWS = 500_000
_MAX_BYTES = 2**29
_MEMORY_BYTES = 4 * 2**30
_CPU_S = 120
_BATCH_ROWS = 256
#: what `datasets` stores for an unknown class label
_NO_LABEL = -1
#: the child's exit status where the file is at fault
_REFUSED = 3


def read_parquet(content: bytes) -> Iterator[Record | BadLine]:
    """A record per row, counted from 1. Raises BadDataset, possibly after some rows."""
    with TemporaryFile() as source, TemporaryFile() as errors:
        source.write(content)
        source.seek(0)
        with start_module(
            "trainer.readers.parquet", stdin=source, stdout=subprocess.PIPE, stderr=errors
        ) as child:
            assert child.stdout is not None
            try:
                # row by row, because all rows together may be much larger than the file
                yield from read_jsonl(child.stdout, unit="Row", tabular=True)
                code = child.wait()
            finally:
                child.kill()
        errors.seek(0)
        if code:
            raise BadDataset(_fault(code, errors.read().decode(errors="replace").strip()[-300:]))


def _fault(code: int, message: str) -> str:
    if code == _REFUSED:
        return message
    if code == -signal.SIGXCPU:
        return (
            f"Reading the Parquet file takes more than {_CPU_S} s of processor time; upload a "
            "sample of its rows."
        )
    return "The Parquet file cannot be read."


# ---------------------------------------------------------------- in the child


def main() -> None:
    import pyarrow as pa  # type: ignore[import-untyped]

    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, _CPU_S)
    # pyarrow's other pools reserve more address space than the limit allows
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        for line in json_lines(sys.stdin.buffer):
            sys.stdout.write(line)
    except (BadDataset, pa.ArrowException, OSError) as error:
        sys.stderr.write(f"The Parquet file cannot be read: {error}".rstrip(".") + ".")
        sys.exit(_REFUSED)
    except UnicodeDecodeError:
        sys.stderr.write("The Parquet file cannot be read: a text in it is not UTF-8.")
        sys.exit(_REFUSED)
    except MemoryError:
        sys.stderr.write("The rows of the Parquet file need more memory than the limit allows.")
        sys.exit(_REFUSED)


def _limit(kind: int, most: int) -> None:
    """Sets a limit that is at most the parent's own."""
    allowed = resource.getrlimit(kind)[1]
    soft = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(kind, (soft, allowed))


def json_lines(file: IO[bytes]) -> Iterator[str]:
    """Raises BadDataset where the file has more rows or bytes than the limits."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table, num_bytes = pq.ParquetFile(file), 0
    if table.metadata.num_rows > _MAX_ROWS:
        raise BadDataset(f"it has {table.metadata.num_rows} rows; at most {_MAX_ROWS} are read")
    columns = table.schema_arrow.names
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise BadDataset(f"it has the column {twice[0]!r} more than once")
    names = _class_names(table.schema_arrow.metadata or {})
    for batch in table.iter_batches(batch_size=_BATCH_ROWS):
        for row in batch.to_pylist():
            line = json.dumps(_name_labels(row, names), default=_as_json) + "\n"
            num_bytes += len(line)
            if num_bytes > _MAX_BYTES:
                raise BadDataset(f"its rows are more than {_MAX_BYTES} bytes as text")
            yield line


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Hugging Face's `datasets` store labels as numbers, and their names in the schema's
    metadata.
    """
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        items = dict(features).items()
    except (ValueError, LookupError, TypeError):
        return {}  # other programs may store anything there
    names_by_column = {column: _label_names(feature) for column, feature in items}
    return {column: names for column, names in names_by_column.items() if names}


def _label_names(feature: Any) -> list[str]:
    """The names of a class label, or of a list of them, which older versions store as a list of
    one feature.
    """
    while not isinstance(feature, dict) or "feature" in feature:
        if isinstance(feature, dict):
            feature = feature["feature"]
        elif isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        else:
            return []
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) else []


def _name_labels(row: dict[str, Any], names: dict[str, list[str]]) -> dict[str, Any]:
    return {
        column: _label(value, names[column]) if column in names else value
        for column, value in row.items()
    }


def _label(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [_label(each, names) for each in value]
    if value == _NO_LABEL:
        return None
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _as_json(value: object) -> Any:
    """Dates, times and decimals as text. Bytes are accepted, because they may be in a column that
    is not used.
    """
    if isinstance(value, bytes | bytearray):
        return {"bytes": len(value)}
    return str(value)


if __name__ == "__main__":
    main()
