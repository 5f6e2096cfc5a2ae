"""What an adapter directory from elsewhere says of its head, completed from its weights. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.errors import BadAdapter

_TASKS = {
    "SEQ_CLS": "classify",
    "TOKEN_CLS": "tag",
    "CAUSAL_LM": "generate",
    "SEQ_2_SEQ_LM": "generate",
}


def completed_head(
    given: Mapping[str, Any] | None,
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    head_weights: Mapping[str, Tensor],
) -> dict[str, Any]:
    """The head's settings: what the caller gives, else our manifest's, else what PEFT's say."""
    head = dict(part(part(manifest, "semantics"), "head"))
    head |= {name: value for name, value in (given or {}).items() if value not in (None, "", [])}
    if "kind" not in head:
        head["kind"] = _kind(config, head_weights)
    if head["kind"] == "generate":
        return head
    outputs = _num_outputs(head_weights)
    if head["kind"] != "regress":
        head.setdefault("labels", [f"LABEL_{i}" for i in range(outputs)])
        if isinstance(head["labels"], list) and len(head["labels"]) != outputs:
            raise BadAdapter(
                f"the head's weights have {outputs} outputs; {len(head['labels'])} labels are given"
            )
    return head


def part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside a manifest that anyone may have written; empty when it is not there."""
    value = manifest.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadAdapter(f"the manifest's {name} is {type(value).__name__}; it must be an object")
    return value


def _kind(config: Mapping[str, Any], head_weights: Mapping[str, Tensor]) -> str:
    task = config.get("task_type")
    if not isinstance(task, str) or task not in _TASKS:
        raise BadAdapter(
            f"the adapter's task_type is {task!r}; "
            "say which head it has: classify, tag, regress or generate"
        )
    if task == "SEQ_CLS" and _num_outputs(head_weights) == 1:
        return "regress"
    return _TASKS[task]


def _num_outputs(head_weights: Mapping[str, Tensor]) -> int:
    for name in ("classifier.out_proj.weight", "classifier.weight", "score.weight"):
        if name in head_weights and head_weights[name].ndim:
            return int(head_weights[name].shape[0])
    raise BadAdapter(
        "the adapter brings no head weights (PEFT saves them through modules_to_save), "
        "so it cannot answer"
    )
