"""Fixtures of the trainer's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.build import TrainerEnv


@pytest.fixture
def trainer_env(tmp_path: Path) -> Iterator[TrainerEnv]:
    made = TrainerEnv(directory=tmp_path)
    yield made
    made.close()
