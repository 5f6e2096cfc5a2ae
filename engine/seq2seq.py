"""An encoder and decoder at work: what reads which tokens, and the stock calls. Keeps nothing.

Shape letters: R rows, L longest row, D hidden width, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from engine.base import Base
from engine.kv_cache import SourceMemory
from engine.packing import Batch, pad
from engine.plan import plan
from engine.port import Row
from engine.resident import Placed
from engine.sites import Action


def target_batch(base: Base, targets: Sequence[Sequence[int]], slots: Sequence[int]) -> Batch:
    """The decoder's rows, in the order given, which is the sources'."""
    rows = [Row(ids=list(ids), slot=slot) for ids, slot in zip(targets, slots, strict=True)]
    groups = [(position,) for position in range(len(rows))]
    return pad(rows, base.numerics.device, base.pad_id, groups)


def shifted(base: Base, targets: Sequence[Sequence[int]], slots: Sequence[int]) -> Batch:
    """What the decoder reads while it learns: of each target all but its last token."""
    return target_batch(base, [[start_id(base), *ids[:-1]] for ids in targets], slots)


def both(
    base: Base, source: Batch, target: Batch, placed: Mapping[int, Placed]
) -> dict[str, Sequence[Action]]:
    """What acts where, by whose tokens a module gets: a decoder's keys are made of the source."""
    on_source, on_target = plan(source, placed), plan(target, placed)
    return {
        site: (on_source if base.family.reads_source(site) else on_target)[site]
        for site in on_source
    }


def taught(base: Base, source: Batch, target: Batch) -> Tensor:
    """Logits [R, L, V] after each token of the targets."""
    assert source.mask_RL is not None, "an encoder and decoder takes padded rows"
    out = base.whole(
        input_ids=source.ids, attention_mask=source.mask_RL.long(), decoder_input_ids=target.ids,
        use_cache=False,
    )  # fmt: skip
    return cast(Tensor, out.logits).float()


def encoded(base: Base, source: Batch) -> Tensor:
    """The source as the decoder reads it, [1, L, D]."""
    assert source.mask_RL is not None, "an encoder and decoder takes padded rows"
    out = base.whole.get_encoder()(
        input_ids=source.ids, attention_mask=source.mask_RL.long()
    )  # fmt: skip
    return cast(Tensor, out.last_hidden_state)


def written_on(base: Base, target: Batch, memory: SourceMemory) -> Tensor:
    """Logits [1, V] after the last of a row's new tokens."""
    out = base.whole(
        encoder_outputs=BaseModelOutput(last_hidden_state=memory.encoded),
        decoder_input_ids=target.ids, past_key_values=memory.cache, use_cache=True,
    )  # fmt: skip
    return cast(Tensor, out.logits)[:, -1].float()


def start_id(base: Base) -> int:
    """The token a decoder begins with."""
    return int(base.model.config.decoder_start_token_id)
