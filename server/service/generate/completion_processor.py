"""Converts the tokens of one sequence to the chunks of a completion. Knows no call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.port import Failure, SequenceOutput, TokenLogprob
from engine.text.tokenizer import Tokenizer
from server.service.completion import CompletionChunk, CompletionToken, Usage
from server.service.generate.detokenizer import IncrementalDetokenizer, TokenTexts
from server.service.values import RowError


class CompletionProcessor:
    """An `OutputProcessor`: detokenizes, looks for stop strings, and sends chunks.

    With `streams`, a chunk is sent as soon as its text is certain. Without, `finish` sends the only
    chunk.
    """

    def __init__(
        self,
        *,
        row: int,
        num_prompt_tokens: int,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        stop: Sequence[str],
        streams: bool,
        send: Callable[[CompletionChunk], None],
    ) -> None:
        self._row, self._num_prompt_tokens = row, num_prompt_tokens
        self._decode, self._texts, self._send = tokenizer.text, texts, send
        self._detokenizer = IncrementalDetokenizer(tokenizer.text, stop)
        self._streams = streams
        # otherwise all tokens are decoded at once, at the end
        self._is_incremental = streams or bool(stop)
        self._text = ""
        self._tokens: list[CompletionToken] = []

    def on_tokens(self, output: SequenceOutput) -> bool:
        """Receives what one step generated. True: a stop string ended the completion."""
        if not self._is_incremental:
            return False
        self._add(output.ids, output.logprobs)
        stopped = self._detokenizer.stopped
        if self._streams and self._text and not (output.finish or stopped):
            self._send(CompletionChunk(row=self._row, text=self._text, tokens=self._tokens))
            self._text, self._tokens = "", []
        return stopped

    def finish(self, result: SequenceOutput | Failure) -> None:
        """Sends the last chunk. `result` is all that was generated, or why the row failed."""
        self._send(self._last_chunk(result))

    def _last_chunk(self, result: SequenceOutput | Failure) -> CompletionChunk:
        if isinstance(result, Failure):
            error = RowError(code=result.code, message=result.message)
            return CompletionChunk(row=self._row, error=error)
        text = self._rest(result)
        return CompletionChunk(
            row=self._row,
            text=text,
            tokens=self._tokens,
            finish="stop" if self._detokenizer.stopped else result.finish,
            usage=Usage(
                prompt_tokens=self._num_prompt_tokens,
                completion_tokens=len(result.ids),
                cached_tokens=result.num_cached,
            ),
        )

    def _rest(self, result: SequenceOutput) -> str:
        if not self._is_incremental:
            if not result.logprobs:
                return self._decode(result.ids)
            self._add(result.ids, result.logprobs)
        text = self._text + self._detokenizer.end()
        if self._detokenizer.stopped:
            # a stop string is not part of the text, nor are the tokens it is made of
            end = self._detokenizer.num_chars
            self._tokens = [token for token in self._tokens if token.offset < end]
        return text

    def _add(self, ids: Sequence[int], logprobs: Sequence[TokenLogprob]) -> None:
        for index, token in enumerate(ids):
            if logprobs and not self._detokenizer.stopped:
                self._tokens.append(self._completion_token(token, logprobs[index]))
            self._text += self._detokenizer.add(token)

    def _completion_token(self, token: int, logprob: TokenLogprob) -> CompletionToken:
        return CompletionToken(
            chosen=self._texts.top_logprob(token, logprob.logprob),
            offset=self._detokenizer.num_chars,
            top=[self._texts.top_logprob(other, value) for other, value in logprob.top],
        )
