"""From a call's inputs to rows of tokens; what cannot become a row gets its error in place."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.errors import BadRow
from engine.heads.head import input_of, windows_of
from engine.text.tokenizer import Encoding, Tokenizer, bare_encoding
from engine.text.windows import Windows
from server.errors import InputTooLong
from server.pools.work_pool import WorkPool
from server.service.inputs.inputs import Given, TokenIds, read_input
from server.service.resolved_model import ResolvedModel
from server.service.values import Parameters, RowError

#: up to here tokenising costs less than a hop to a thread and back under load; beyond, it would
#: hold up the event loop
_INLINE_CHARS = 2_000

#: what is tokenised at a time: some ten milliseconds of a processor
_PART_CHARS = 32_768

#: one place per input, filled as answers and errors become known
Outputs = list[dict[str, Any] | RowError | None]


class TextRow(NamedTuple):
    """An input that reaches the engine, and its position among the inputs.

    `text` is what characters are counted in: of two texts the second.
    """

    position: int
    text: str
    encoding: Encoding


class InputReader:
    """Checks and tokenises."""

    def __init__(self, tokenizer: Tokenizer, max_chars: int, pool: WorkPool) -> None:
        """`pool` is for long texts."""
        self._tokenizer, self._pool = tokenizer, pool
        self._max_chars = max_chars

    async def read(
        self,
        inputs: Sequence[object],
        parameters: Parameters,
        outputs: Outputs,
        author: ResolvedModel,
        tenant: str,
    ) -> list[TextRow]:
        """The rows to compute. `outputs` receives the errors of the others."""
        head = dict(author.head)
        given = self._given(inputs, outputs, input_of(head))
        if (prompt := prompt_of(author, parameters)) is not None:
            given = {i: each._replace(first=prompt + each.first) for i, each in given.items()}
        windows = windows_of(head)
        limit = min(
            author.max_tokens or self._tokenizer.max_tokens, parameters.cut_to or sys.maxsize
        )
        if sum(each.num_chars for each in given.values()) <= _INLINE_CHARS:
            encodings = [self._encode(each, limit, windows) for each in given.values()]
        else:
            encodings = await self._encode_many(list(given.values()), limit, windows, tenant)
        rows = []
        for (position, each), encoding in zip(given.items(), encodings, strict=True):
            if encoding.truncated and not parameters.truncate:
                outputs[position] = _too_many_tokens(limit)
            else:
                rows.append(TextRow(position, each.second or each.first, encoding))
        rows += self._ready(inputs, outputs, limit, parameters)
        return sorted(rows, key=lambda row: row.position)

    async def _encode_many(
        self, given: Sequence[Given], limit: int, windows: Windows | None, tenant: str
    ) -> list[Encoding]:
        """Part by part: between any two others get their turn, and a caller who is gone is seen."""
        encodings = []
        for part in _parts(given):
            encodings += await self._pool.run(
                tenant, self._tokenizer.encode_batch, part, limit, windows
            )
        return encodings

    def _ready(
        self, inputs: Sequence[object], outputs: Outputs, limit: int, parameters: Parameters
    ) -> list[TextRow]:
        """Those that are tokens already."""
        rows = []
        for position, item in enumerate(inputs):
            if not isinstance(item, TokenIds):
                continue
            try:
                ids = item.known(self._tokenizer.knows)
            except BadRow as error:
                outputs[position] = RowError(code=error.code, message=str(error))
                continue
            if len(ids) > limit and not parameters.truncate:
                outputs[position] = _too_many_tokens(limit)
            else:
                rows.append(TextRow(position, "", bare_encoding(ids[:limit])))
        return rows

    def _given(self, inputs: Sequence[object], outputs: Outputs, wanted: str) -> dict[int, Given]:
        given: dict[int, Given] = {}
        for position, item in enumerate(inputs):
            if isinstance(item, TokenIds):
                continue
            read = read_input(item, wanted, self._max_chars)
            if isinstance(read, RowError):
                outputs[position] = read
            else:
                given[position] = read
        return given

    def _encode(self, given: Given, limit: int, windows: Windows | None) -> Encoding:
        return self._tokenizer.encode(given.first, given.second, limit, windows)


def prompt_of(author: ResolvedModel, parameters: Parameters) -> str | None:
    """What the base wants before a text of this purpose; one that it does not know has none."""
    return author.prompts.get(parameters.purpose) or author.prompts.get("")


def _parts(given: Sequence[Given]) -> Iterator[list[str | tuple[str, str]]]:
    part, num_chars = list[str | tuple[str, str]](), 0
    for each in given:
        part.append(each.texts)
        num_chars += each.num_chars
        if num_chars >= _PART_CHARS:
            yield part
            part, num_chars = [], 0
    if part:
        yield part


def _too_many_tokens(limit: int) -> RowError:
    return RowError(
        code=InputTooLong.code,
        message=f"This model's maximum context length is {limit} tokens and the input has more; "
        "send a shorter one, or the parameter truncate to have it cut.",
    )
