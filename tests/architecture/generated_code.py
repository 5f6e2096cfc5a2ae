"""Says whether the committed protobuf code is what the .proto files generate.

`python -m tests.architecture.generated_code` exits 1 and names what is stale;
`make protos` mends it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from protos.generate import ROOT, generate


def stale_files() -> list[str]:
    """Committed generated files that differ from fresh ones, or that nothing generates."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        names = _generated(fresh) | _generated(ROOT)
        return sorted(str(name) for name in names if _text(fresh / name) != _text(ROOT / name))


def _generated(root: Path) -> set[Path]:
    folder = root / "adapterd" / "v1"
    return {path.relative_to(root) for path in folder.glob("*_pb2*.py*")}


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    stale = stale_files()
    print("stale, run `make protos`: " + ", ".join(stale) if stale else "current")
    sys.exit(1 if stale else 0)
