"""The grouped low-rank product: many adapters' `up(act(down(x)))` over one stretch of tokens.

The adapters of a block are concatenated along rank, so that a block costs two products however many
adapters it holds. Each token then keeps only the columns of its own slot: they are *selected*
(`where`), never multiplied by zero, so that nothing a neighbour's weights produce, infinities and
NaN included, can reach it.

Shape letters: T tokens of the block, S slots of the block, K ranks of all slots, I input width, O
output width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """One adapter at one site, ready to multiply; any scaling is already inside `up`."""

    down_KI: Tensor
    up_KO: Tensor
    down_bias_K: Tensor | None = None
    up_bias_O: Tensor | None = None

    @property
    def finite(self) -> bool:
        return all(bool(torch.isfinite(t).all()) for t in self._tensors)

    @property
    def _tensors(self) -> list[Tensor]:
        tensors = (self.down_KI, self.up_KO, self.down_bias_K, self.up_bias_O)
        return [t for t in tensors if t is not None]


class Owners:
    """Which tokens of a block belong to which of its slots: `counts[s]` tokens each, in order."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = tuple(counts)
        self._masks: dict[tuple[int, ...], Tensor] = {}

    def others(self, ranks: tuple[int, ...], device: torch.device) -> Tensor | None:
        """[T, K], true where a column belongs to another slot than the token's; None for one alone.

        Sites of equal ranks, nearly always all of them, share one mask.
        """
        if len(ranks) == 1:
            return None
        if ranks not in self._masks:
            index_S = torch.arange(len(ranks), device=device)
            token_T = index_S.repeat_interleave(
                torch.tensor(self.counts, device=device), output_size=sum(self.counts)
            )
            column_K = index_S.repeat_interleave(
                torch.tensor(ranks, device=device), output_size=sum(ranks)
            )
            self._masks[ranks] = token_T[:, None] != column_K
        return self._masks[ranks]


class Block:
    """Some slots' adapters at one site, over the tokens `start..stop` of the stream."""

    def __init__(
        self,
        start: int,
        owners: Owners,
        parts: Sequence[LowRank | None],
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._start, self._stop = start, start + sum(owners.counts)
        self._activation = activation
        present = [part for part in parts if part is not None]
        self._down_KI = torch.cat([part.down_KI for part in present])
        self._up_KO = torch.cat([part.up_KO for part in present])
        self._down_bias_K = _cat_biases([part.down_bias_K for part in present])
        ranks = tuple(0 if part is None else part.down_KI.shape[0] for part in parts)
        self._others_TK = owners.others(ranks, self._down_KI.device)
        self._up_bias_TO = _spread_biases(owners.counts, parts)

    def add_to(
        self, out_TO: Tensor, x_TI: Tensor, dropout: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Add the block's product to `out_TO` in place; `dropout` acts between the two products."""
        x = x_TI[self._start : self._stop]
        h_TK = torch.nn.functional.linear(x, self._down_KI, self._down_bias_K)
        if self._activation is not None:
            h_TK = self._activation(h_TK)
        if dropout is not None:
            h_TK = dropout(h_TK)
        if self._others_TK is not None:
            h_TK = h_TK.masked_fill(self._others_TK, 0.0)
        out = out_TO[self._start : self._stop]
        out.addmm_(h_TK, self._up_KO)
        if self._up_bias_TO is not None:
            out.add_(self._up_bias_TO)


def _cat_biases(biases: Sequence[Tensor | None]) -> Tensor | None:
    present = [bias for bias in biases if bias is not None]
    assert len(present) in (0, len(biases)), "a block mixes adapters with and without a bias"
    return torch.cat(present) if present else None


def _spread_biases(counts: Sequence[int], parts: Sequence[LowRank | None]) -> Tensor | None:
    """Each token's own up-bias; zero rows for slots without an adapter here."""
    first = next((p.up_bias_O for p in parts if p is not None and p.up_bias_O is not None), None)
    if first is None:
        return None
    zero = torch.zeros_like(first)
    biases = [zero if p is None or p.up_bias_O is None else p.up_bias_O for p in parts]
    return torch.cat([b.expand(count, -1) for b, count in zip(biases, counts, strict=True)])
