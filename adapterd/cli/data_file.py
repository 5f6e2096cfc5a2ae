"""Reads the path of a data file from the command line: what is no file is refused with the way out.

The bytes are checked by the reader of the rows, and for `train` before they are uploaded.
"""

from __future__ import annotations

from pathlib import Path

from adapterd.calls.dataset_name import dataset_name
from adapterd.errors import BadSetting, Refused
from adapterd.wire.local_file import path_problem

#: enough of a file to recognise its format
_BEGINNING = 2**16


def read_data_path(value: str | Path) -> Path:
    """The path of a file that can be read. Raises BadSetting."""
    if problem := path_problem(value):
        raise BadSetting(problem)
    return Path(value)


def read_texts(path: Path) -> list[str]:
    """The lines of a file that are not blank. Raises BadSetting."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadSetting(
            f"{path} is not UTF-8 text; pass a file with one text per line."
        ) from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise BadSetting(f"{path} contains no text")
    return texts


def read_data_source(value: str | Path) -> Path:
    """The path of a file, or `dataset:NAME` as it is: a file that the server stores."""
    return Path(value) if dataset_name(value) is not None else read_data_path(value)


def refuse_other_formats(path: Path) -> None:
    """Refuses a file that cannot hold rows before it is uploaded, as the server would. Without the
    platform's packages only the server knows the formats. Raises Refused.
    """
    if dataset_name(path) is not None:
        return
    from adapterd.cli.platform_packages import require_platform
    from adapterd.errors import PlatformMissing

    try:
        require_platform()
    except PlatformMissing:
        return
    from trainer.errors import BadDataset
    from trainer.readers import not_text

    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    try:
        not_text.refuse_other_formats(beginning, path.name)
    except BadDataset as error:
        raise Refused(str(error), problem=error.code) from None
