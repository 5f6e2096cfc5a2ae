"""What must be so before anything is imported."""

import os
from pathlib import Path

# Triton decides as it is imported whether kernels are interpreted, and torch may import it at any
# time; beside a device they are compiled
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")
