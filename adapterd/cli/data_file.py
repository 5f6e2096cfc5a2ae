"""Reads the path of a data file from the command line: what is no file is refused with the way out.

The bytes are checked by the reader of the rows, and for `train` before they are uploaded.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path

from adapterd.errors import BadSetting, Refused

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: enough of a file to recognise its format
_BEGINNING = 2**16


def read_data_path(value: str | Path) -> Path:
    """The path of a file that can be read. Raises BadSetting."""
    path = Path(value)
    if _URL.match(str(value)):
        raise BadSetting(f"{value} is a URL; download the file and pass its path.")
    if path.is_dir():
        raise BadSetting(f"{value} is a folder; pass one of the files in it.")
    if not path.exists():
        raise BadSetting(f"There is no file {path.name} {_way_out(path)}")
    if not path.is_file():
        raise BadSetting(f"{value} is not a regular file; save its content as one and pass that.")
    if not os.access(path, os.R_OK):
        raise BadSetting(f"{value} cannot be read; you lack the permission.")
    return path


def refuse_other_formats(path: Path) -> None:
    """Refuses a file that cannot hold rows before it is uploaded, as the server would. Without the
    platform's packages only the server knows the formats. Raises Refused.
    """
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


def _way_out(path: Path) -> str:
    """The rest of the sentence about a file that does not exist: a name that is nearly the same, or
    where it was looked for.
    """
    folder = path.parent
    if not folder.is_dir():
        return f"because there is no folder {folder}."
    names = [each.name for each in folder.iterdir()]
    if near := get_close_matches(path.name, names, n=1, cutoff=0.75):
        return f"in {folder.resolve()}; did you mean {near[0]}?"
    return f"in {folder.resolve()}; check the path."
