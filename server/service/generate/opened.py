"""A call that writes, once its rows are admitted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from adapters_registry.values import Version
from server.service.completion import CompletionChunk
from server.service.generate.call import GenerationCall
from server.service.inputs.tokenization import TextRow
from server.service.values import RowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`call` writes the texts of `rows`, in order; it is none where every input has an error.

    `close` it, whatever happens: until then its rows write on.
    """

    rows: Sequence[TextRow]
    #: by position among the inputs
    errors: dict[int, RowError]
    call: GenerationCall | None
    parts: Sequence[tuple[Version, float]]
    tokenized_at: float

    async def pieces(self) -> AsyncGenerator[CompletionChunk, None]:
        """What is written, as it comes; closing it early takes the rows along."""
        if self.call is not None:
            async with aclosing(self.call.pieces()) as pieces:
                async for piece in pieces:
                    yield piece

    async def texts(self) -> list[CompletionChunk]:
        """Each row's whole text, in order."""
        return await self.call.texts() if self.call is not None else []

    def close(self) -> None:
        """What still writes stops within a step."""
        if self.call is not None:
            self.call.close()
