"""A call's rows in parts that queue one by one, so that other calls get in between."""

from __future__ import annotations

from collections.abc import Sequence

from server.dispatch.entry import RowTokens
from server.limits import CallLimits
from server.service.inputs.tokenization import TextRow


def row_chunks(
    rows: Sequence[TextRow], limits: CallLimits, pooling: str | None
) -> list[list[RowTokens]]:
    """In order; `pooling` is asked of the bare base alone."""
    chunks: list[list[RowTokens]] = [[]]
    num_tokens = 0
    for ids, type_ids in (piece for row in rows for piece in row.encoding.rows):
        size = len(ids)
        full = num_tokens + size > limits.entry_tokens or len(chunks[-1]) >= limits.entry_rows
        if chunks[-1] and full:
            chunks.append([])
            num_tokens = 0
        chunks[-1].append(RowTokens(ids, type_ids, pooling))
        num_tokens += size
    return chunks
