"""Engines over tiny bases, made once per run, and adapters whose weights are not zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertModel

from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.golden.weights import CONFIG, fill
from tests.contracts.tiny import build_base, build_tokenizer


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def folder(family: str) -> Path:
        return build_base(family, tmp_path_factory.mktemp(family))

    return folder


@pytest.fixture(scope="session")
def engines(base_folder: Callable[[str], Path]) -> Callable[..., Engine]:
    @cache
    def engine(family: str, **options: Any) -> Engine:
        # dozens of engines live in one process: what each may reserve must stay small, or the
        # process becomes too large to fork
        settings = {
            "dtype": "float32", "threads": 1, "num_slots": 64, "kv_cache_bytes": 2**24, **options
        }  # fmt: skip
        return Engine(EngineConfig(base=str(base_folder(family)), **settings))

    return engine


@pytest.fixture(scope="session")
def hub_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Over the base of the golden files."""
    folder = tmp_path_factory.mktemp("golden")
    model = BertModel(BertConfig(**CONFIG))
    fill(model, "bert.")
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return Engine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=8))


@pytest.fixture
def make_engine(
    engines: Callable[..., Engine], tmp_path: Path
) -> Iterator[Callable[..., EngineUnderTest]]:
    """Makes an engine to try adapters on, which is emptied afterwards."""
    opened: list[EngineUnderTest] = []

    def make(family: str, **options: Any) -> EngineUnderTest:
        opened.append(EngineUnderTest(engines(family, **options), tmp_path / str(len(opened))))
        return opened[-1]

    yield make
    for each in opened:
        each.clear()
