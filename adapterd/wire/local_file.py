"""What is wrong with a path that should name a file, in a sentence with the way out. Knows no
format.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path

#: a path joins the slashes
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")


def path_problem(path: str | Path) -> str | None:
    """None where the path is that of a file that can be read."""
    path, name = Path(path), str(path)
    if _URL.match(name):
        url = _URL.sub(r"\1://", name, count=1)
        return f"{url} is a URL; download the file and pass its path."
    if "\0" in name:
        return f"The path {name!r} contains a NUL; no file has such a path."
    if path.is_dir():
        return f"{name} is a folder; pass one of the files in it."
    if not path.exists():
        return f"There is no file {path.name} {_way_out(path)}"
    if not path.is_file():
        return f"{name} is not a regular file; save its content as one and pass that."
    if not os.access(path, os.R_OK):
        return f"{name} cannot be read; you lack the permission."
    return None


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
