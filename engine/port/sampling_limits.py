"""The values that a `Sampling` may have: checked by the server when a call arrives, and again by
the engine.

Torch-free. What only the engine knows, such as the size of the vocabulary, is an argument.
"""

from __future__ import annotations

import math

from engine.errors import BadRow
from engine.port import Sampling

#: the lowest and the highest value of each number, both allowed
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_k": (0, math.inf),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "seed": (-(2**63), 2**63 - 1),
    "logprobs": (-1, 20),
}
_MOST_BIAS = 100.0
#: every row of a call carries its own
_MOST_TOKENS = 1024


def check_sampling(sampling: Sampling, num_words: int | None = None) -> None:
    """Raises BadRow, whose `param` is the parameter at fault by the name that callers use.

    `num_words` is how many words the base's vocabulary has, where known."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(sampling, name)
        if not low <= value <= high or value == math.inf:
            raise BadRow(f"{name} is {value}, and must be {_span(low, high)}", param=name)
    if not 0 < sampling.top_p <= 1:
        raise BadRow(f"top_p is {sampling.top_p}, and must be above 0 and at most 1", param="top_p")
    for token, bias in sampling.logit_bias.items():
        if not -_MOST_BIAS <= bias <= _MOST_BIAS:
            span = _span(-_MOST_BIAS, _MOST_BIAS)
            raise BadRow(
                f"logit_bias of token {token} is {bias}, and must be {span}", param="logit_bias"
            )
    _check_tokens("logit_bias", sampling.logit_bias, num_words)
    _check_tokens("stop_token_ids", sampling.stop_ids, num_words)


def _check_tokens(name: str, tokens: list[int] | dict[int, float], num_words: int | None) -> None:
    if len(tokens) > _MOST_TOKENS:
        raise BadRow(
            f"{name} names {len(tokens)} tokens, and may name {_MOST_TOKENS} at most", param=name
        )
    for token in tokens:
        if token < 0 or (num_words is not None and token >= num_words):
            known = "tokens begin at 0" if num_words is None else f"the base has {num_words} words"
            raise BadRow(f"{name} names token {token}, and {known}", param=name)


def _span(low: float, high: float) -> str:
    return f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
