"""The settings of an imported adapter's head, by its files and the shapes of its weights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import BadAdapter
from engine.heads import HEADS

_TASKS = {
    "SEQ_CLS": "classify",
    "TOKEN_CLS": "tag",
    "QUESTION_ANS": "span",
    "FEATURE_EXTRACTION": "embed",
    "CAUSAL_LM": "generate",
    "SEQ_2_SEQ_LM": "generate",
}


def completed_head(
    overrides: Mapping[str, Any] | None,
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    outputs: int | None,
    described: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The head's settings: those of `overrides` first, then those of our manifest, of the files
    beside the adapter (`described`) and of PEFT's configuration.

    `outputs` is the number of outputs of the head's weights; None where there are no weights.
    """
    head = {**(described or {}), **part(part(manifest, "semantics"), "head")}
    head |= {key: value for key, value in (overrides or {}).items() if value not in (None, "", [])}
    if "kind" not in head:
        head["kind"] = _kind(config, outputs)
    kind = HEADS.get(head["kind"]) if isinstance(head["kind"], str) else None
    if outputs is None and (kind is None or not kind.bare):
        raise BadAdapter(
            "the adapter brings no head weights (PEFT saves them through modules_to_save), "
            "so it cannot answer"
        )
    if outputs is not None and kind is not None and "labels" in kind.settings:
        head.setdefault("labels", [f"LABEL_{i}" for i in range(outputs)])
        if isinstance(head["labels"], list) and len(head["labels"]) != outputs:
            raise BadAdapter(
                f"the head's weights have {outputs} outputs; {len(head['labels'])} labels are given"
            )
    return head


def part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside an uploaded manifest; empty where it is missing."""
    value = manifest.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadAdapter(f"the manifest's {name} is {type(value).__name__}; it must be an object")
    return value


def _kind(config: Mapping[str, Any], outputs: int | None) -> str:
    task = config.get("task_type")
    if not isinstance(task, str) or task not in _TASKS:
        raise BadAdapter(
            f"the adapter's task_type is {task!r}; say which head it has: {', '.join(HEADS)}"
        )
    return "regress" if task == "SEQ_CLS" and outputs == 1 else _TASKS[task]
