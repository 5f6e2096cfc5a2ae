"""The head that generates text with the base's own vocabulary. It has no weights of its own and no
logits to decode: sequences are generated token by token (`engine/generation/`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import BadAdapter
from engine.port import IGNORED, LossOptions

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("auto", "chat", "plain")
_MAX_TOKENS = 64
MOST_TOKENS = 4096
_MOST_EXAMPLES = 64


class GenerationHead:
    """Cross entropy over the vocabulary, on the completion's tokens only.

    `prompt` is put before every input: an instruction and worked examples. Without any trained
    weights they make a prompt version. `parse` reads a number out of the generated text.
    """

    name = "generate"
    per_token = True
    poolings: tuple[str, ...] = ("native",)
    inputs: tuple[str, ...] = ("text",)
    settings: tuple[str, ...] = ("pooling", "max_tokens", "format", "prompt", "parse")
    native_as = "generate"
    peft_task = "CAUSAL_LM"
    trains_apart = False
    bare = True

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        checked: dict[str, Any] = {
            "kind": self.name,
            "pooling": "native",
            "max_tokens": _count(head.get("max_tokens", _MAX_TOKENS)),
            "format": _one_of("format", head.get("format", "auto"), FORMATS),
        }
        if head.get("prompt"):
            checked["prompt"] = _prompt(head["prompt"])
        if head.get("parse") is not None:
            checked["parse"] = _one_of("parse", head["parse"], ("number",))
        return checked

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del lengths, head
        flat = torch.tensor([index for row in targets for index in row], device=logits.device)
        return torch.nn.functional.cross_entropy(
            logits, flat, ignore_index=IGNORED, label_smoothing=options.label_smoothing
        )

    def parse(self, text: str, head: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that the setting `parse` reads out of a text; null where it has no number."""
        return {"value": parse_number(text)} if head.get("parse") == "number" else {}


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_TOKENS:
        raise BadAdapter(
            f"max_tokens is {value!r}; it must be a whole number from 1 to {MOST_TOKENS}"
        )
    return value


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise BadAdapter(f"{name} is {value!r}; a generate head knows {', '.join(known)}")
    return str(value)


def _prompt(prompt: Any) -> dict[str, Any]:
    if not isinstance(prompt, Mapping) or not set(prompt) <= {"instruction", "examples"}:
        raise BadAdapter(f"prompt is {prompt!r}; it must be an object of instruction and examples")
    instruction, examples = prompt.get("instruction", ""), prompt.get("examples", [])
    if not isinstance(instruction, str):
        raise BadAdapter(f"the prompt's instruction is {instruction!r}; it must be a text")
    if not isinstance(examples, list) or len(examples) > _MOST_EXAMPLES:
        raise BadAdapter(f"the prompt's examples must be a list of at most {_MOST_EXAMPLES}")
    if not all(map(_is_example, examples)):
        raise BadAdapter("each of the prompt's examples must be an object of input and output")
    return {
        "instruction": instruction,
        "examples": [{"input": e["input"], "output": e["output"]} for e in examples],
    }


def _is_example(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {"input", "output"}
        and all(isinstance(part, str) for part in value.values())
    )


def parse_number(text: str) -> float | None:
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None
