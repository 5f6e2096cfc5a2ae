"""From a call's inputs to rows of tokens; what cannot become a row gets its error in place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.tokenizer import Encoding, Tokenizer
from server.errors import InputTooLong, PairRefused
from server.service.inputs import Text, read_input
from server.service.values import Parameters, RowError

#: up to here tokenising costs less than a hop to a thread and back under load; beyond, it would
#: hold up the event loop
_INLINE_CHARS = 2_000

#: one place per input, filled as answers and errors become known
Outputs = list[dict[str, Any] | RowError | None]


class TextRow(NamedTuple):
    """An input that reaches the engine, and its position among the inputs."""

    position: int
    text: str
    encoding: Encoding


class InputReader:
    """Checks and tokenises."""

    def __init__(self, tokenizer: Tokenizer, max_chars: int) -> None:
        self._tokenizer = tokenizer
        self._max_chars = max_chars

    async def read(
        self,
        inputs: Sequence[object],
        parameters: Parameters,
        outputs: Outputs,
        *,
        takes_pairs: bool = True,
    ) -> list[TextRow]:
        """The rows to compute. `outputs` receives the errors of the others."""
        texts = self._texts(inputs, outputs, takes_pairs)
        if sum(map(_num_chars, texts.values())) <= _INLINE_CHARS:
            encodings = [self._encode(text) for text in texts.values()]
        else:
            encodings = await asyncio.to_thread(self._tokenizer.encode_batch, list(texts.values()))
        rows = []
        for (position, text), encoding in zip(texts.items(), encodings, strict=True):
            if encoding.truncated and not parameters.truncate:
                outputs[position] = self._too_many_tokens()
            else:
                first = text if isinstance(text, str) else text[0]
                rows.append(TextRow(position, first, encoding))
        return rows

    def _texts(
        self, inputs: Sequence[object], outputs: Outputs, takes_pairs: bool
    ) -> dict[int, Text]:
        texts: dict[int, Text] = {}
        for position, item in enumerate(inputs):
            text = read_input(item, self._max_chars)
            if isinstance(text, RowError):
                outputs[position] = text
            elif isinstance(text, tuple) and not takes_pairs:
                outputs[position] = RowError(code=PairRefused.code, message=str(PairRefused()))
            else:
                texts[position] = text
        return texts

    def _encode(self, text: Text) -> Encoding:
        if isinstance(text, str):
            return self._tokenizer.encode(text)
        return self._tokenizer.encode(*text)

    def _too_many_tokens(self) -> RowError:
        limit = self._tokenizer.max_tokens
        return RowError(
            code=InputTooLong.code,
            message=f"The input has more than the {limit} tokens the base reads; "
            "send a shorter one, or the parameter truncate to have it cut.",
        )


def _num_chars(text: Text) -> int:
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1])
