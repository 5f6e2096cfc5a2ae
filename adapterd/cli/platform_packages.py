"""Where the platform's packages lie, and whether what they need is there. Imports none of them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from adapterd.errors import PlatformMissing

#: the packages themselves, and something of each part of the extra `platform`
_NEEDED = ("server", "torch", "transformers", "fastapi", "pydantic_settings", "sqlalchemy")


def require_platform() -> None:
    """Makes `server`, `trainer`, `engine` and `adapters_registry` importable.

    Raises PlatformMissing. An installed wheel holds them in `adapterd/_platform`, where they meet
    no package of the same name; a checkout has them beside `adapterd`. They go first on the path:
    a program's own `server/`, in the folder where the command happens to run, is not meant.
    """
    package = Path(__file__).resolve().parents[1]
    bundled = package / "_platform"
    sys.path.insert(0, str(bundled if bundled.is_dir() else package.parent))
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise PlatformMissing(
            f"This command needs the platform, and {missing[0]} is not installed; "
            "`pip install 'adapterd[platform]'` brings it."
        )
