"""LongRoPE picks the frequencies of a whole batch by its longest row, so no row passes the point
where it would pick others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.tiny import build_base

ROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32,
    "partial_rotary_factor": 1.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 3.0, 4.0, 5.0],
}  # fmt: skip


def test_rows_stay_within_the_original_length_and_answer_as_stock_does_there(
    tmp_path: Path,
) -> None:
    folder = build_base("phi3", tmp_path, rope_parameters=ROPE, original_max_position_embeddings=32)
    engine = Engine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=2))
    assert engine.info.max_tokens == 32
    ids = [[5, 6, 7], [9] * 32, [8] * 33]
    result = engine.step(port.Predict(rows=[port.Row.of(ids=row) for row in ids]))
    assert isinstance(result, port.Predicted)
    stock = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    for row, answer in zip(ids[:2], result.rows, strict=False):
        assert isinstance(answer, port.Array)
        with torch.inference_mode():
            expected = stock(input_ids=torch.tensor([row])).last_hidden_state[0]
        np.testing.assert_allclose(answer.numpy(), expected.numpy(), atol=1e-5)
    assert isinstance(result.rows[2], port.Failure)
    assert "at most 32" in result.rows[2].message
