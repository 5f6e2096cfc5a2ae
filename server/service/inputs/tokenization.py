"""Tokenizes the inputs of a call to rows; an invalid input gets an error of its own."""

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
from server.service.inputs.inputs import TextInput, TokenIds, read_input
from server.service.resolved_model import ResolvedModel
from server.service.values import Parameters, RowError

#: up to this length tokenizing costs less than switching threads; longer texts would block the
#: event loop
_INLINE_CHARS = 2_000

#: characters that are tokenized at a time, in about ten milliseconds
_PART_CHARS = 32_768

#: the answer or error of each input; None until it is known
Outputs = list[dict[str, Any] | RowError | None]


class TextRow(NamedTuple):
    """An input for the engine, and its position among the inputs.

    Character offsets in answers count in `text`; for two texts it is the second.
    """

    position: int
    text: str
    encoding: Encoding


class InputReader:
    """Validates and tokenizes inputs."""

    def __init__(self, tokenizer: Tokenizer, max_chars: int, pool: WorkPool) -> None:
        """Long texts are tokenized in `pool`."""
        self._tokenizer, self._pool = tokenizer, pool
        self._max_chars = max_chars

    async def read(
        self,
        inputs: Sequence[object],
        parameters: Parameters,
        outputs: Outputs,
        model: ResolvedModel,
        tenant: str,
    ) -> list[TextRow]:
        """The rows of valid inputs; `outputs` receives the errors of the others."""
        head = dict(model.head)
        texts = self._read_texts(inputs, outputs, input_of(head))
        if (prompt := prompt_of(model, parameters)) is not None:
            texts = {i: text._replace(first=prompt + text.first) for i, text in texts.items()}
        windows = windows_of(head)
        limit = min(
            model.max_tokens or self._tokenizer.max_tokens, parameters.cut_to or sys.maxsize
        )
        if sum(text.num_chars for text in texts.values()) <= _INLINE_CHARS:
            encodings = [self._encode(text, limit, windows) for text in texts.values()]
        else:
            encodings = await self._encode_many(list(texts.values()), limit, windows, tenant)
        rows = []
        for (position, text), encoding in zip(texts.items(), encodings, strict=True):
            if encoding.truncated and not parameters.truncate:
                outputs[position] = _too_many_tokens(limit)
            else:
                rows.append(TextRow(position, text.second or text.first, encoding))
        rows += self._read_token_ids(inputs, outputs, limit, parameters)
        return sorted(rows, key=lambda row: row.position)

    async def _encode_many(
        self, texts: Sequence[TextInput], limit: int, windows: Windows | None, tenant: str
    ) -> list[Encoding]:
        """Part by part: in between other calls can run, and a disconnected caller is noticed."""
        encodings = []
        for part in _parts(texts):
            encodings += await self._pool.run(
                tenant, self._tokenizer.encode_batch, part, limit, windows
            )
        return encodings

    def _read_token_ids(
        self, inputs: Sequence[object], outputs: Outputs, limit: int, parameters: Parameters
    ) -> list[TextRow]:
        """The rows of inputs that are token ids already."""
        rows = []
        for position, item in enumerate(inputs):
            if not isinstance(item, TokenIds):
                continue
            try:
                ids = item.check(self._tokenizer.knows)
            except BadRow as error:
                outputs[position] = RowError(code=error.code, message=str(error))
                continue
            if len(ids) > limit and not parameters.truncate:
                outputs[position] = _too_many_tokens(limit)
            else:
                rows.append(TextRow(position, "", bare_encoding(ids[:limit])))
        return rows

    def _read_texts(
        self, inputs: Sequence[object], outputs: Outputs, shape: str
    ) -> dict[int, TextInput]:
        texts: dict[int, TextInput] = {}
        for position, item in enumerate(inputs):
            if isinstance(item, TokenIds):
                continue
            text = read_input(item, shape, self._max_chars)
            if isinstance(text, RowError):
                outputs[position] = text
            else:
                texts[position] = text
        return texts

    def _encode(self, text: TextInput, limit: int, windows: Windows | None) -> Encoding:
        return self._tokenizer.encode(text.first, text.second, limit, windows)


def prompt_of(model: ResolvedModel, parameters: Parameters) -> str | None:
    """The base's prefix for texts of this purpose, or its default prefix."""
    return model.prompts.get(parameters.purpose) or model.prompts.get("")


def _parts(texts: Sequence[TextInput]) -> Iterator[list[str | tuple[str, str]]]:
    part, num_chars = list[str | tuple[str, str]](), 0
    for text in texts:
        part.append(text.texts)
        num_chars += text.num_chars
        if num_chars >= _PART_CHARS:
            yield part
            part, num_chars = [], 0
    if part:
        yield part


def _too_many_tokens(limit: int) -> RowError:
    return RowError(
        code=InputTooLong.code,
        message=f"This model's maximum context length is {limit} tokens and the input has more; "
        "send a shorter one, or set the parameter truncate.",
    )
