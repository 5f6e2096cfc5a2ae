"""What must be so before anything is imported."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Triton decides as it is imported whether kernels are interpreted, and torch may import it at any
# time; beside a device they are compiled
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# the tests' clients read no profile of the person who runs them
_CONFIG = tempfile.mkdtemp(prefix="adapterd-config-")
os.environ["XDG_CONFIG_HOME"] = _CONFIG
atexit.register(shutil.rmtree, _CONFIG, ignore_errors=True)

# PostgreSQL, S3 and proxies before them: nothing starts before a test asks for it
# PostgreSQL, S3 and proxies before them: nothing starts before a test asks for it
pytest_plugins = ["tests.services.fixtures", "tests.services.place_fixtures"]
