"""Gradients of a contrastive loss over all rows of a step, computed in micro-batches.

GradCache (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup"): a forward without gradients, the gradient of the loss with respect to all answers, and then
forward and backward of each part with its share. Knows no base and no head.
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
