"""One training step in parts: how many rows go through a forward and its backward together."""

from __future__ import annotations

from engine.port import Train

_MAX_TOKENS = 4096


def parts_of(step: Train, together: int, beside: bool) -> list[range]:
    """The step's rows in stretches of bounded size: one step must neither exhaust the memory nor
    keep served rows waiting for long.
    """
    answers = [len(target) if beside else 0 for target in step.targets]  # a decoder reads them
    sizes = [len(row.ids) + answer for row, answer in zip(step.rows, answers, strict=True)]
    starts, tokens = [0], 0
    for index, size in enumerate(sizes):
        if tokens and index % together == 0 and tokens + size > _MAX_TOKENS:
            starts.append(index)
            tokens = 0
        tokens += size
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(sizes)], strict=True)]
