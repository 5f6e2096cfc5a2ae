"""The gradients of a loss that sets every row of a step against all others, though the rows go
through the base in parts. Knows no base and no head.

GradCache (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup"): all rows are answered without gradients, the loss of all answers says how each should
move, and each part goes forward again to take that backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def backward_together(
    answers: Callable[[range], Tensor],
    parts: Sequence[range],
    loss: Callable[[Tensor], Tensor],
) -> float:
    """Adds to the gradients what the whole loss has; answers the loss.

    `answers` gives a part's rows [R, D], the same each time it is asked: dropout is drawn by key.
    """
    with torch.no_grad():
        seen_RD = torch.cat([answers(part) for part in parts])
    seen_RD.requires_grad_()
    total = loss(seen_RD)
    (gradient_RD,) = torch.autograd.grad(total, seen_RD)
    for part in parts:
        answers(part).backward(gradient_RD[part.start : part.stop])  # type: ignore[no-untyped-call]
    return total.item()
