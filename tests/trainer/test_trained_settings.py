"""Settings of every kind, as jobs train them: what is published serves, and PEFT reads it alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft import PeftModel

from adapters_registry.values import Version
from engine import port
from engine.config import EngineConfig
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from tests.contracts.engine_under_test import ROWS
from tests.contracts.tiny import build_base
from tests.contracts.tuned import stock_logits, stock_model
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.errors import BadSetting

PATTERNS = {
    "rank": 4,
    "rank_pattern": {"attention.self.query": 2},
    "alpha_pattern": {"intermediate.dense": 6},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def tiny_engine(folder: Path) -> Iterator[EnginePort]:
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


@pytest.fixture
def trainer_env(tmp_path: Path, tiny_engine: EnginePort) -> Iterator[TrainerEnv]:
    trainer_env = TrainerEnv(directory=tmp_path, port=tiny_engine)
    yield trainer_env
    trainer_env.close()


def published(trainer_env: TrainerEnv, **given: Any) -> Version:
    rows = [row | {"label": ["sad", "glad", "so-so"][i % 3]} for i, row in enumerate(mood_rows())]
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(rows), pooling="native", **given))
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).error_message is None
    return trainer_env.registry.resolve(TENANT, "mood")


def served(trainer_env: TrainerEnv, version: Version) -> list[Any]:
    files = [
        port.File(role=role, path=str(path), sha256=sha256)
        for role, path, sha256 in trainer_env.registry.files(version)
    ]
    load = port.Load(digest=version.digest, semantics=version.manifest.semantics, files=files)
    trainer_env.port.submit(load).result()
    rows = [port.Row.of(ids=ids, slot=1) for ids in ROWS]
    result = trainer_env.port.submit(port.Predict(rows=rows, place={1: version.digest})).result()
    assert isinstance(result, port.Predicted)
    return [row.numpy() for row in result.rows if isinstance(row, port.Array)]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("lora", PATTERNS),
        ("lora", PATTERNS | {"bias": "all"}),
        ("lora", PATTERNS | {"lora_bias": True, "bias": "lora_only"}),
        ("ia3", {"targets": ["key", "intermediate.dense"], "feedforward": ["intermediate.dense"]}),
        ("ia3", {"feedforward": []}),
    ],
    ids=str,
)
def test_what_a_job_publishes_serves_as_pefts_model_of_its_export_answers(
    trainer_env: TrainerEnv, folder: Path, tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    version = published(trainer_env, kind=kind, settings={**settings, "learning_rate": 0.01})
    trainer_env.registry.export(version, tmp_path / "out")
    oracle = PeftModel.from_pretrained(stock_model(folder, "classify"), tmp_path / "out").eval()
    for ids, answer in zip(ROWS, served(trainer_env, version), strict=True):
        np.testing.assert_allclose(answer, stock_logits(oracle, ids), atol=1e-4)


def test_an_export_has_the_pattern_that_was_trained(
    trainer_env: TrainerEnv, tmp_path: Path
) -> None:
    trainer_env.registry.export(published(trainer_env, settings=PATTERNS), tmp_path / "out")
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    assert config["r"] == 4
    layers = [f"encoder.layer.{layer}" for layer in range(3)]
    assert config["rank_pattern"] == {f"{layer}.attention.self.query": 2 for layer in layers}
    assert config["alpha_pattern"] == {f"{layer}.intermediate.dense": 6.0 for layer in layers}


def test_a_bottlenecks_scaling_is_that_of_the_training(trainer_env: TrainerEnv) -> None:
    version = published(
        trainer_env, kind="bottleneck", settings={"scaling": 3, "activation": "silu"}
    )
    config = version.manifest.semantics["kind_config"]
    assert (config["scaling"], config["activation"]) == (3.0, "silu")


def test_a_pattern_for_no_adapted_module_is_refused_when_the_job_is_submitted(
    trainer_env: TrainerEnv,
) -> None:
    spec = trainer_env.spec(jsonl(mood_rows()), settings={"rank_pattern": {"pooler.dense": 4}})
    with pytest.raises(BadSetting, match=r"'pooler\.dense', which is no adapted module"):
        trainer_env.trainer.submit(spec)
