"""Finds the platform's packages and checks their dependencies. Imports none of them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from adapterd.errors import PlatformMissing

#: one of the packages themselves, and some dependencies of the extra `platform`
_NEEDED = ("server", "torch", "transformers", "fastapi", "pydantic_settings", "sqlalchemy")


def require_platform() -> None:
    """Makes `server`, `trainer`, `engine` and `adapters_registry` importable.

    Raises PlatformMissing. An installed wheel has them in `adapterd/_platform`, so that they clash
    with no package of the same name; a checkout has them beside `adapterd`. They go first on the
    path, so that a `server/` in the working directory is not imported instead.
    """
    package = Path(__file__).resolve().parents[1]
    bundled = package / "_platform"
    sys.path.insert(0, str(bundled if bundled.is_dir() else package.parent))
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise PlatformMissing(
            f"This command needs the platform, and {missing[0]} is not installed; "
            "run `pip install 'adapterd[platform]'`."
        )
