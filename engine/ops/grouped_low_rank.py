"""The grouped low-rank product: many adapters' `up(act(down(x)))` over one span of tokens.

The adapters of a block are concatenated along rank, so that a block costs two products however many
adapters it holds. Each token then keeps only the columns of its own slot: they are *selected*
(`where`), never multiplied by zero, so that nothing a neighbour's weights produce, infinities and
NaN included, can reach it. Where every slot has one token, as in decoding, each is multiplied by
its own adapter alone.

Shape letters: T tokens of the block, S slots of the block, K ranks of all slots, I input width, O
output width, R ranks of one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.ops.keyed_dropout import KeyedDropout
from engine.ops.low_rank_autograd import low_rank_autograd

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """One adapter's product at one site, ready to multiply; `up` already contains any scaling."""

    down_KI: Tensor
    up_KO: Tensor
    down_bias_K: Tensor | None = None


class Span:
    """Which tokens of a stream belong to which slots: from `start` on, `counts[s]` each, in order.

    What acts over a span may be kept from forward to forward, while the span moves.
    """

    def __init__(self, start: int, counts: Sequence[int]) -> None:
        self.counts: tuple[int, ...] = ()
        self._masks: dict[tuple[int, ...], Tensor] = {}
        self._slot_T: Tensor | None = None
        self.move(start, counts)

    def move(self, start: int, counts: Sequence[int]) -> None:
        if (now := tuple(counts)) != self.counts:
            self._masks, self._slot_T = {}, None
        self.counts, self.start, self.stop = now, start, start + sum(now)

    @property
    def one_each(self) -> bool:
        """Whether every slot has one token."""
        return self.counts.count(1) == len(self.counts)

    def others(self, ranks: tuple[int, ...], device: torch.device) -> Tensor | None:
        """[T, K], true where a column belongs to another slot than the token's; None for one slot.

        Sites of equal ranks, nearly always all of them, share one mask.
        """
        if len(ranks) == 1:
            return None
        if ranks not in self._masks:
            column_K = repeat_indices(ranks, device)
            self._masks[ranks] = self._slots(device)[:, None] != column_K
        return self._masks[ranks]

    def own(self, vectors_SO: Tensor) -> Tensor:
        """Each token's own of its slots' vectors, [T, O]; made when it is asked for, since for all
        sites at once they would not fit the processor's cache.
        """
        if len(vectors_SO) == 1:
            return vectors_SO[0]
        return vectors_SO.index_select(0, self._slots(vectors_SO.device))

    def _slots(self, device: torch.device) -> Tensor:
        if self._slot_T is None:
            self._slot_T = repeat_indices(self.counts, device)
        return self._slot_T


class Block:
    """Some slots' products at one site."""

    def __init__(
        self, parts: Sequence[LowRank | None], activation: Activation | None = None
    ) -> None:
        self._activation = activation
        present = [part for part in parts if part is not None]
        self._down_KI = torch.cat([part.down_KI for part in present])
        self._up_KO = torch.cat([part.up_KO for part in present])
        self._down_bias_K = _cat_biases([part.down_bias_K for part in present])
        self._ranks = tuple(0 if part is None else part.down_KI.shape[0] for part in parts)
        self._alike = len(set(self._ranks)) == 1

    @property
    def is_bare(self) -> bool:
        """Whether this is one slot's product without an activation or a bias."""
        return len(self._ranks) == 1 and self._activation is None and self._down_bias_K is None

    def autograd(
        self, weight_IO: Tensor, bias_O: Tensor | None, x_TI: Tensor, dropout: KeyedDropout | None
    ) -> Tensor:
        """A linear's output with a bare product added; gradients for the product alone."""
        mask_TK = None if dropout is None else dropout.mask(x_TI, len(self._down_KI))
        return low_rank_autograd(x_TI, weight_IO, bias_O, self._down_KI, self._up_KO, mask_TK)

    def put(self, number: int, part: LowRank) -> None:
        """Replaces the product of one slot by another of the same shapes."""
        start = sum(self._ranks[:number])
        place = slice(start, start + self._ranks[number])
        self._down_KI[place], self._up_KO[place] = part.down_KI, part.up_KO
        if self._down_bias_K is not None and part.down_bias_K is not None:
            self._down_bias_K[place] = part.down_bias_K

    def add_to(
        self, out_TO: Tensor, x_TI: Tensor, span: Span, dropout: KeyedDropout | None = None
    ) -> None:
        """Add the products of a span's tokens to `out_TO` in place; `dropout` acts between the two
        products.
        """
        if span.one_each and self._alike and dropout is None:
            self._add_each(out_TO, x_TI)
            return
        h_TK = torch.nn.functional.linear(x_TI, self._down_KI, self._down_bias_K)
        if self._activation is not None:
            h_TK = self._activation(h_TK)
        if dropout is not None:
            h_TK = dropout(h_TK)
        others_TK = span.others(self._ranks, h_TK.device)
        if others_TK is not None:
            h_TK = h_TK.masked_fill(others_TK, 0.0)
        out_TO.addmm_(h_TK, self._up_KO)

    def _add_each(self, out_SO: Tensor, x_SI: Tensor) -> None:
        """One token of each slot: no product of one adapter's weights and another's token."""
        slots = len(self._ranks)
        down_SRI, up_SRO = (w.view(slots, -1, w.shape[1]) for w in (self._down_KI, self._up_KO))
        h_SR = torch.bmm(down_SRI, x_SI[:, :, None])[:, :, 0]
        if self._down_bias_K is not None:
            h_SR = h_SR + self._down_bias_K.view(slots, -1)
        if self._activation is not None:
            h_SR = self._activation(h_SR)
        out_SO[:, None].baddbmm_(h_SR[:, None], up_SRO)


def _cat_biases(biases: Sequence[Tensor | None]) -> Tensor | None:
    present = [bias for bias in biases if bias is not None]
    assert len(present) in (0, len(biases)), "a block mixes adapters with and without a bias"
    return torch.cat(present) if present else None


def repeat_indices(counts: Sequence[int], device: torch.device) -> Tensor:
    """0 `counts[0]` times, 1 `counts[1]` times, …"""
    return torch.arange(len(counts), device=device).repeat_interleave(
        torch.tensor(counts, device=device), output_size=sum(counts)
    )
