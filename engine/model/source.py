"""Where a base comes from: a folder, a GGUF file, a package that carries either, or a hub id.

Knows paths; loads nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

from engine.adapter_formats.base_names import ServedBase
from engine.errors import BadBase

_GGUF = ".gguf"
#: of a hub's folder; chat templates are files of their own, some in a folder below
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def base_path(base: str) -> Path:
    """The local folder or GGUF file of `base`, fetched from the hub when it is a hub id.

    Raises BadBase.
    """
    if base.startswith("package:"):
        return _inside_package(base.removeprefix("package:"))
    if _holds_base(Path(base)):
        return Path(base)
    if base.endswith(_GGUF):
        raise BadBase(f"there is no GGUF file {base}")
    if base.startswith((".", "/")) or base.count("/") > 1:
        raise BadBase(f"there is no folder {base}")
    return _hub_folder(base)


def served_base(base: str, path: Path) -> ServedBase:
    """What `base`, which lies at `path`, is known by."""
    is_folder = path.is_dir() and Path(base) == path
    origin = _origin(path / "config.json") if is_folder else ""
    return ServedBase(name=base, path=str(path.resolve()), origin=origin)


def _origin(config: Path) -> str:
    try:
        content = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return ""
    origin = content.get("_name_or_path") if isinstance(content, dict) else None
    return origin if isinstance(origin, str) else ""


def _holds_base(path: Path) -> bool:
    return path.is_dir() or (path.suffix == _GGUF and path.is_file())


def _inside_package(name: str) -> Path:
    """`NAME/PATH` inside an installed package, by import name or distribution name."""
    package, _, path = name.partition("/")
    for candidate in _candidates(package):
        spec = importlib.util.find_spec(candidate) if candidate.isidentifier() else None
        for root in (spec.submodule_search_locations or ()) if spec else ():
            if _holds_base(Path(root) / path):
                return Path(root) / path
    raise BadBase(
        f"no installed package {package} has a folder or GGUF file {path or '.'}; "
        "install it with pip, or name another base"
    )


def _candidates(name: str) -> Iterator[str]:
    """The name itself, then (a slow search) what a distribution of that name installs."""
    yield name
    yield from _import_names(name)


def _import_names(distribution: str) -> list[str]:
    normalized = distribution.lower().replace("_", "-")
    return [
        name
        for name, owners in importlib.metadata.packages_distributions().items()
        if any(owner.lower().replace("_", "-") == normalized for owner in owners)
    ]


def _hub_folder(base: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(base, allow_patterns=_WANTED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadBase(f"{base} is neither a folder nor a base the hub gave us: {reason}") from error
