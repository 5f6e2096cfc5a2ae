"""The settings of an embed head, from the files that sentence-transformers saves with an adapter.

Reads `modules.json` and the pooling's `config.json`; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadAdapter

#: newer releases have one name, older ones a flag for each pooling
_POOLINGS = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_FLAG = "pooling_mode_"
_FLAGS = {"mean_tokens": "mean", "cls_token": "cls", "lasttoken": "lasttoken"}


def described_embedding(modules: Sequence[Any], pooling: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an embed head, empty where the files have none.

    Raises BadAdapter for modules that this engine does not have.
    """
    kinds = [_kind(module) for module in modules]
    if not pooling and "Pooling" not in kinds:
        return {}
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise BadAdapter(
            f"modules.json has a {unknown[0]} after the base; this engine serves embeddings of "
            "Transformer, Pooling and Normalize"
        )
    head: dict[str, Any] = {"kind": "embed"}
    if pooling:
        head["pooling"] = _pooling(pooling)
    if kinds:
        head["normalize"] = "Normalize" in kinds
    return head


def prompt_warnings(config: Mapping[str, Any]) -> list[str]:
    """A warning where sentence-transformers puts a prompt before every text, which this engine does
    not do.
    """
    prompts, name = config.get("prompts"), config.get("default_prompt_name")
    prompt = prompts.get(name) if isinstance(prompts, Mapping) and isinstance(name, str) else None
    if not isinstance(prompt, str) or not prompt:
        return []
    return [
        f"config_sentence_transformers.json puts {prompt[:80]!r} before every text; texts are "
        "embedded as they are sent, so send them with it"
    ]


def _kind(module: Any) -> str:
    named = module.get("type") if isinstance(module, Mapping) else None
    if not isinstance(named, str):
        raise BadAdapter("modules.json must list objects that each have a type")
    return named.rpartition(".")[2]


def _pooling(config: Mapping[str, Any]) -> str:
    mode = config.get("pooling_mode")
    if mode is None:
        flags = [
            name.removeprefix(_FLAG)
            for name, on in config.items()
            if on is True and name.startswith(_FLAG)
        ]
        mode = "+".join(_FLAGS.get(flag, flag) for flag in flags)
    if isinstance(mode, list):
        mode = "+".join(map(str, mode))
    if not isinstance(mode, str) or mode not in _POOLINGS:
        raise BadAdapter(
            f"the pooling's config.json pools {mode!r}; this engine has {', '.join(_POOLINGS)}. "
            "Say which with the setting pooling, if another is meant"
        )
    return _POOLINGS[mode]
