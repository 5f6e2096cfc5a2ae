"""Running rows of an encoder and decoder as one rectangle of transformers' own cache.

What the decoder read stands at the right end of each row, so that relative positions hold; what it
sees of its source stands at the left. Knows no model and no adapter.

Shape letters: R rows, K heads, S tokens the decoder has read of the longest row, L tokens of the
longest source, D width of a head.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, EncoderDecoderCache

#: keys and values of each layer
Layers = list[tuple[Tensor, Tensor]]


@dataclass(slots=True, eq=False, kw_only=True)
class Seq2SeqCache:
    """Rows in order: `read[i]` tokens of row `keys[i]` are cached, over `sources[i]` of its source.

    A forward over them lengthens the cache; `advance` says that it succeeded, `undo` that not.
    """

    keys: list[int]
    read: list[int]
    sources: list[int]
    cache: EncoderDecoderCache

    @classmethod
    def fresh(
        cls, keys: list[int], sources: list[int], known: Sequence[Layers] | None = None
    ) -> Seq2SeqCache:
        """Rows that have read nothing, over sources that are known, or are read next."""
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        if known is not None:
            seen = zip(*known, strict=True)
            cache = _make_cache([], [_stack(pairs, max(sources), right=False) for pairs in seen])
        return cls(keys=keys, read=[0] * len(keys), sources=sources, cache=cache)

    @classmethod
    def join(cls, parts: Sequence[Seq2SeqCache]) -> Seq2SeqCache:
        if len(parts) == 1:
            return parts[0]
        read = [count for part in parts for count in part.read]
        sources = [count for part in parts for count in part.sources]
        own = zip(*(part.own for part in parts), strict=True)
        seen = zip(*(part.seen for part in parts), strict=True)
        return cls(
            keys=[key for part in parts for key in part.keys],
            read=read,
            sources=sources,
            cache=_make_cache(
                [_stack(pairs, max(read), right=True) for pairs in own],
                [_stack(pairs, max(sources), right=False) for pairs in seen],
            ),
        )

    def pick(self, keys: Sequence[int]) -> Seq2SeqCache:
        """Those rows, in that order; itself where they are all of it, in its order."""
        if list(keys) == self.keys:
            return self
        places = [self.keys.index(key) for key in keys]
        read, sources = [self.read[i] for i in places], [self.sources[i] for i in places]
        at = torch.tensor(places, device=self.own[0][0].device)
        end = max(self.read) - max(read)
        return Seq2SeqCache(
            keys=list(keys),
            read=read,
            sources=sources,
            cache=_make_cache(
                [_both(pair, lambda x: x[at, :, end:]) for pair in self.own],
                [_both(pair, lambda x: x[at, :, : max(sources)]) for pair in self.seen],
            ),
        )

    @property
    def own(self) -> Layers:
        """What the decoder read: [R, K, S, D]."""
        return _layers(self.cache.self_attention_cache)

    @property
    def seen(self) -> Layers:
        """What it sees of the sources: [R, K, L, D]."""
        return _layers(self.cache.cross_attention_cache)

    def source(self, key: int) -> Layers:
        """What one row sees of its source, for another that reads the same: [1, K, L, D]."""
        row = self.keys.index(key)
        count = self.sources[row]
        return [_both(pair, lambda x: x[row : row + 1, :, :count].clone()) for pair in self.seen]

    def source_mask(self, device: torch.device) -> Tensor:
        """[R, L]"""
        places_L = torch.arange(max(self.sources), device=device)
        return (places_L < torch.tensor(self.sources, device=device)[:, None]).long()

    def own_mask(self, device: torch.device) -> Tensor:
        """[R, S + 1]: with the one token that each row reads next."""
        width = max(self.read) + 1
        empty_R = width - 1 - torch.tensor(self.read, device=device)
        return (torch.arange(width, device=device) >= empty_R[:, None]).long()

    def advance(self) -> None:
        self.read = [count + 1 for count in self.read]

    def undo(self) -> None:
        """Leave nothing of a forward that failed halfway."""
        self.cache = _make_cache(
            [_both(pair, lambda x: x[:, :, : max(self.read)]) for pair in self.own], self.seen
        )


class SourceCache:
    """What the decoder sees of sources that were encoded before, by a name made of version, tenant
    and tokens. Bounded by bytes; the least recently used goes first.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self.num_bytes = budget, 0
        self._known: OrderedDict[bytes, Layers] = OrderedDict()

    def find(self, name: bytes | None) -> Layers | None:
        if name is None or name not in self._known:
            return None
        self._known.move_to_end(name)
        return self._known[name]

    def keep(self, name: bytes | None, layers: Layers) -> None:
        if name is None or name in self._known:
            return
        self._known[name] = layers
        self.num_bytes += _num_bytes(layers)
        while self.num_bytes > self._budget:
            self.num_bytes -= _num_bytes(self._known.popitem(last=False)[1])


def _num_bytes(layers: Layers) -> int:
    return sum(x.numel() * x.element_size() for pair in layers for x in pair)


def _layers(cache: Any) -> Layers:
    return [(layer.keys, layer.values) for layer in cache.layers]


def _make_cache(own: Sequence[tuple[Tensor, Tensor]], seen: Layers) -> EncoderDecoderCache:
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    for index, (keys, values) in enumerate(own):
        cache.self_attention_cache.update(keys, values, index)
    for index, (keys, values) in enumerate(seen):
        cache.cross_attention_cache.update(keys, values, index)
        cache.is_updated[index] = True
    return cache


def _stack(
    pairs: Sequence[tuple[Tensor, Tensor]], width: int, *, right: bool
) -> tuple[Tensor, Tensor]:
    """Rows under each other in a rectangle of that width, at its right end or its left one."""

    def widen(x: Tensor) -> Tensor:
        empty = width - x.shape[2]
        return pad(x, (0, 0, empty, 0) if right else (0, 0, 0, empty))

    keys, values = zip(*pairs, strict=True)
    return torch.cat([widen(x) for x in keys]), torch.cat([widen(x) for x in values])


def _both(pair: tuple[Tensor, Tensor], change: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    return change(pair[0]), change(pair[1])
