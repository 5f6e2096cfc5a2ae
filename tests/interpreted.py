"""The device's kernels on a processor, interpreted by Triton: `tests/conftest.py` says so."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


@pytest.fixture
def interpreted() -> ModuleType:
    pytest.importorskip("triton", reason="Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are compiled here, and run by the tests for a device")
    return importlib.import_module("engine.kv_cache.paged_kernel")
