"""Sources that were read before: what the decoder sees of them, by version, tenant and tokens.

Bounded by bytes, the longest unused goes first. Knows no model.
"""

from __future__ import annotations

from collections import OrderedDict

from engine.kv_cache.encoder_decoder_cache import Layers


class SourceCache:
    """A source read for one row serves every later row of the same name."""

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
        self.num_bytes += _size(layers)
        while self.num_bytes > self._budget:
            self.num_bytes -= _size(self._known.popitem(last=False)[1])


def _size(layers: Layers) -> int:
    return sum(x.numel() * x.element_size() for pair in layers for x in pair)
