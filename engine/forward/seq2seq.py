"""An encoder and decoder at work: what reads which tokens, and the stock calls. Keeps nothing.

Shape letters: R rows, L longest row, D hidden width, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import embedding
from transformers.modeling_outputs import BaseModelOutput

from engine.adapters.resident import Placed
from engine.forward.plan import plan_actions
from engine.kv_cache.encoder_decoder_cache import Seq2SeqCache
from engine.model.base import Base
from engine.model.batch import Batch, pad
from engine.port import Row
from engine.sites.hooks import Action, Dropout, bind_dropout


def rows_in_order(base: Base, texts: Sequence[Sequence[int]], slots: Sequence[int]) -> Batch:
    """Sources or targets, in the order given: a row stands in both at one place."""
    rows = [Row.of(ids=list(ids), slot=slot) for ids, slot in zip(texts, slots, strict=True)]
    groups = [(position,) for position in range(len(rows))]
    return pad(rows, base.numerics.device, base.pad_id, groups)


def shift_targets(base: Base, targets: Sequence[Sequence[int]], slots: Sequence[int]) -> Batch:
    """What the decoder reads while it learns: of each target all but its last token."""
    return rows_in_order(base, [[start_id(base), *ids[:-1]] for ids in targets], slots)


def plan_seq2seq_actions(
    base: Base,
    source: Batch,
    target: Batch,
    placed: Mapping[int, Placed],
    dropouts: tuple[Dropout | None, Dropout | None] = (None, None),
) -> dict[str, Sequence[Action]]:
    """What acts where, by whose tokens a module gets: a decoder's keys are made of the source."""
    on_source = bind_dropout(plan_actions(source, placed), dropouts[0])
    on_target = bind_dropout(plan_actions(target, placed), dropouts[1])
    return {
        site: (on_source if base.family.reads_source(site) else on_target)[site]
        for site in on_source
    }


def decode_targets(base: Base, source: Batch, target: Batch) -> Tensor:
    """Logits [R, L, V] after each token of the targets."""
    assert source.mask_RL is not None, "an encoder and decoder takes padded rows"
    out = base.whole(
        input_ids=source.ids,
        attention_mask=source.mask_RL.long(),
        decoder_input_ids=target.ids,
        use_cache=False,
    )
    return cast(Tensor, out.logits).float()


def encode_sources(base: Base, source: Batch) -> Tensor:
    """Sources as the decoder reads them, [R, L, D]."""
    assert source.mask_RL is not None, "an encoder and decoder takes padded rows"
    out = base.whole.get_encoder()(input_ids=source.ids, attention_mask=source.mask_RL.long())
    return cast(Tensor, out.last_hidden_state)


def decode_step(
    base: Base, target: Batch, rows: Seq2SeqCache, encoded_RLD: Tensor | None = None
) -> Tensor:
    """Logits [R, V] after the one token that each row reads.

    Of sources whose keys the rows hold already the decoder needs no more than the shape.
    """
    device, width = base.numerics.device, max(rows.sources)
    if encoded_RLD is None:
        nothing = torch.zeros(1, dtype=base.dtype, device=device)
        encoded_RLD = nothing.expand(len(rows.keys), width, base.model.config.hidden_size)
    with _count_positions(base, rows.read):
        out = base.whole(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded_RLD),
            attention_mask=rows.source_mask(device),
            decoder_input_ids=target.ids,
            decoder_attention_mask=rows.own_mask(device),
            past_key_values=rows.cache,
            use_cache=True,
        )
    return cast(Tensor, out.logits)[:, -1].float()


@contextmanager
def _count_positions(base: Base, read: Sequence[int]) -> Iterator[None]:
    """Each row at its own position: the stock decoder would count by the longest row."""
    if base.family.decoder_positions is None:
        yield
        return
    module = base.model.get_submodule(base.family.decoder_positions)
    positions_R1 = torch.tensor(read, device=base.numerics.device)[:, None] + module.offset
    hook = module.register_forward_hook(
        lambda module, _, __: embedding(positions_R1, module.weight)
    )
    try:
        yield
    finally:
        hook.remove()


def start_id(base: Base) -> int:
    """The token a decoder begins with."""
    return int(base.model.config.decoder_start_token_id)
