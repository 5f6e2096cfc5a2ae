"""What sentence-transformers writes beside an adapter, in old words and new, as settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.adapter_formats.sentence_transformers import described_embedding, prompt_warnings
from engine.errors import BadAdapter

OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules."


def modules(*kinds: str, inside: str = OLD) -> list[dict[str, Any]]:
    return [{"idx": i, "type": f"{inside}{kind}"} for i, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "mean", "embedding_dimension": 384}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
    ],
)
@pytest.mark.parametrize("inside", [OLD, NEW])
def test_how_it_pools_and_whether_it_normalizes(
    inside: str, config: dict[str, Any], pooling: str
) -> None:
    listed = modules("Transformer", "Pooling", inside=inside)
    assert described_embedding(listed, config) == {
        "kind": "embed",
        "pooling": pooling,
        "normalize": False,
    }
    normal = modules("Transformer", "Pooling", "Normalize", inside=inside)
    assert described_embedding(normal, config)["normalize"] is True


def test_a_cross_encoder_and_a_folder_without_modules_say_nothing_of_an_embedding() -> None:
    assert described_embedding(modules("Transformer"), {}) == {}
    assert described_embedding([], {}) == {}


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode": "max"},
        {"pooling_mode": ["mean", "cls"]},
        {"pooling_mode_mean_sqrt_len_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
        {},
    ],
)
def test_a_pooling_that_is_not_computed_here_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BadAdapter, match="this engine has mean, cls, lasttoken"):
        described_embedding(modules("Transformer", "Pooling"), {"embedding_dimension": 8, **config})


def test_a_module_with_weights_of_its_own_is_refused_by_name() -> None:
    with pytest.raises(BadAdapter, match="has a Dense after the base"):
        described_embedding(modules("Transformer", "Pooling", "Dense"), {"pooling_mode": "mean"})


def test_a_prompt_before_every_text_is_told() -> None:
    prompts = {"query": "query: ", "document": ""}
    (told,) = prompt_warnings({"prompts": prompts, "default_prompt_name": "query"})
    assert "'query: '" in told
    assert prompt_warnings({"prompts": prompts, "default_prompt_name": None}) == []
    assert prompt_warnings({"prompts": prompts, "default_prompt_name": "document"}) == []
