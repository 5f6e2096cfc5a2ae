"""Which entries of an archive are the adapter's, once no name in it can trick anybody.

Knows names, no bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from adapters_registry.adapter_files.file_names import CONFIG, stored_name
from adapters_registry.archives.entry import Entry
from adapters_registry.errors import BadArchive, BadFileName

_HERE = "."
#: all the parents of every name are compared, so deep names multiply the work
_MOST_LEVELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainedFiles:
    """What is unpacked, by the name of its entry, and what is left out."""

    stored: dict[str, str]
    left_out: list[str]


def select_files(entries: Sequence[Entry]) -> ContainedFiles:
    """Raises BadFileName or BadArchive if any name is refused, then nothing is unpacked.

    The adapter may lie in a folder of the archive, as most tools pack one.
    """
    files = _check_names(entries)
    folder = _adapter_folder([_clean(each) for each in files])
    stored: dict[str, str] = {}
    left_out = []
    for spelling in files:
        name = _clean(spelling)
        inside = name.removeprefix(folder)
        target = stored_name(inside) if name.startswith(folder) else None
        if target is None:
            left_out.append(inside if name.startswith(folder) else name)
        elif target in stored.values():
            raise BadFileName(f"the archive has two files that are {target}", name=target)
        else:
            stored[spelling] = target
    return ContainedFiles(stored=stored, left_out=left_out)


def _check_names(entries: Sequence[Entry]) -> list[str]:
    """The names of the files, as the archive spells them."""
    files: dict[str, str] = {}
    spellings: dict[str, str] = {}
    folders: set[str] = set()
    for entry in entries:
        name = _clean(entry.name)
        if entry.is_folder and name == _HERE:
            continue
        stored_name(name)  # refuses what is no path inside the archive
        if name in files:
            raise BadArchive(f"the archive has {name[:80]!r} twice", name=name[:80])
        parts = name.split("/")
        if len(parts) > _MOST_LEVELS:
            raise BadFileName(
                f"{name[:80]!r} in the archive lies {len(parts)} levels deep; {_MOST_LEVELS} are "
                "the most",
                name=name[:80],
            )
        parents = ["/".join(parts[:num]) for num in range(1, len(parts))]
        folders.update(parents, [name] if entry.is_folder else [])
        for path in (*parents, name):
            _check_spelling(path, spellings)
        if not entry.is_folder:
            files[name] = entry.name
    if both := sorted(folders & files.keys()):
        raise BadArchive(f"{both[0][:80]!r} in the archive is a file and a folder")
    return list(files.values())


def _check_spelling(path: str, spellings: dict[str, str]) -> None:
    """Names that differ in case or in the form of a letter are one file on some machines."""
    known = spellings.setdefault(unicodedata.normalize("NFKC", path).casefold(), path)
    if known != path:
        raise BadArchive(
            f"{known[:80]!r} and {path[:80]!r} in the archive are one file on some machines"
        )


def _adapter_folder(names: Sequence[str]) -> str:
    """With its slash; empty for the archive itself."""
    folders = [name.removesuffix(CONFIG) for name in names if name.split("/")[-1] == CONFIG]
    if not folders:
        return _common_folder(names)
    depth = min(folder.count("/") for folder in folders)
    highest = sorted(folder for folder in folders if folder.count("/") == depth)
    if len(highest) > 1:
        some = ", ".join(folder.rstrip("/")[:80] for folder in highest[:3])
        raise BadArchive(
            f"the archive has {len(highest)} adapters ({some}); send an archive of each alone"
        )
    return highest[0]


def _common_folder(names: Sequence[str]) -> str:
    """That all of them are in, for a message about what is missing."""
    firsts = {name.partition("/")[0] for name in names if "/" in name}
    return f"{firsts.pop()}/" if len(firsts) == 1 and all("/" in name for name in names) else ""


def _clean(name: str) -> str:
    return name.removeprefix("./")
