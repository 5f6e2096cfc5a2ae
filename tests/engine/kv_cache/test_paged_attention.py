"""The kernel gives what attention over the gathered blocks gives; run by Triton's interpreter."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor

BLOCKS, TOKENS = 20, 16


def looked_at(pool: Tensor, table_B: Tensor, length: int, window: int | None) -> Tensor:
    """[K, seen, D] of a row's blocks."""
    row = pool[table_B].flatten(0, 1)[:length]
    return row[-window if window else 0 :].transpose(0, 1)


@pytest.mark.survival("D6")
@pytest.mark.parametrize("window", [None, 1, 20, 40])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "width"), [(6, 2, 12), (4, 4, 16), (9, 3, 64), (20, 1, 8)]
)
def test_every_token_sees_its_own_rows_tokens_and_no_others(
    interpreted: ModuleType, heads: int, kv_heads: int, width: int, window: int | None
) -> None:
    torch.manual_seed(heads * width)
    query_THD = torch.randn(5, heads, width)
    keys, values = torch.randn(2, BLOCKS, TOKENS, kv_heads, width)
    table_RB = torch.randperm(BLOCKS)[:12].view(3, 4)
    rows, lengths = [0, 0, 1, 2, 2], [1, 17, 33, 63, 64]
    metadata = interpreted.AttentionMetadata(
        tables_RB=table_RB, rows_T=torch.tensor(rows), lengths_T=torch.tensor(lengths)
    )
    out_THD = interpreted.paged_attention(
        query_THD, keys, values, metadata, scale=0.3, window=window
    )
    for token, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        seen = [looked_at(pool, table_RB[row], length, window) for pool in (keys, values)]
        expected = torch.nn.functional.scaled_dot_product_attention(
            query_THD[token][:, None], *seen, scale=0.3, enable_gqa=True
        )[:, 0]
        torch.testing.assert_close(out_THD[token], expected, atol=2e-6, rtol=1e-5)


@pytest.mark.survival("D6")
def test_numbers_that_are_none_where_a_token_may_not_look_do_not_reach_it(
    interpreted: ModuleType,
) -> None:
    keys, values = torch.full((2, 3, TOKENS, 1, 16), torch.nan)
    keys[1, :5], values[1, :5] = 1.0, 2.0
    metadata = interpreted.AttentionMetadata(
        tables_RB=torch.tensor([[1, 2]]), rows_T=torch.tensor([0]), lengths_T=torch.tensor([5])
    )
    out_THD = interpreted.paged_attention(
        torch.ones(1, 1, 16), keys, values, metadata, scale=1.0, window=None
    )
    assert torch.equal(out_THD, torch.full((1, 1, 16), 2.0))
