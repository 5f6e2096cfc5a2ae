"""One row's text on its way out: what the engine writes goes in, what a caller reads comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.port import Failure, SequenceOutput, TokenLogprob
from engine.text.tokenizer import Tokenizer
from server.dispatch.entry import Answer
from server.service.completion import CompletionChunk, CompletionToken, Usage
from server.service.generate.detokenizer import IncrementalDetokenizer
from server.service.generate.token_texts import TokenTexts
from server.service.values import RowError

Send = Callable[[CompletionChunk], None]


class OutputProcessor:
    """A row's transcript, with the logprobs of its tokens where they were asked for.

    With `send` its pieces go out as they are sure; the last, or all in one, comes from `last`.
    """

    def __init__(
        self,
        *,
        row: int,
        num_prompt: int,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        stop: Sequence[str],
        send: Send | None,
    ) -> None:
        self._row, self._num_prompt, self._send = row, num_prompt, send
        self._decode, self._texts = tokenizer.text, texts
        self._transcript = IncrementalDetokenizer(tokenizer.text, stop)
        #: read token by token, because somebody waits for pieces or for a stop string
        self.listens = send is not None or bool(stop)
        self._text = ""
        self._tokens: list[CompletionToken] = []

    def hear(self, written: SequenceOutput) -> bool:
        """What one step wrote. True: a stop string ended the text."""
        self._read(written.ids, written.logprobs)
        if self._send and self._text and not (written.finish or self._transcript.stopped):
            self._send(CompletionChunk(row=self._row, text=self._text, tokens=self._tokens))
            self._text, self._tokens = "", []
        return self._transcript.stopped

    def last(self, answer: Answer) -> CompletionChunk:
        """What remains to be said, and how the text ended."""
        result = answer.rows[0]
        if isinstance(result, Failure):
            error = RowError(code=result.code, message=result.message)
            return CompletionChunk(row=self._row, error=error)
        assert isinstance(result, SequenceOutput), "a row that writes answers with what it wrote"
        text = self._rest(result)
        return CompletionChunk(
            row=self._row,
            text=text,
            tokens=self._tokens,
            finish="stop" if self._transcript.stopped else result.finish,
            usage=Usage(
                prompt_tokens=self._num_prompt,
                completion_tokens=len(result.ids),
                cached_tokens=result.num_cached,
            ),
        )

    def _rest(self, result: SequenceOutput) -> str:
        if not self.listens:
            if not result.logprobs:
                return self._decode(result.ids)
            self._read(result.ids, result.logprobs)
        text = self._text + self._transcript.end()
        if self._transcript.stopped:
            # a stop string is not part of the text, nor are the tokens it is made of
            end = self._transcript.num_chars
            self._tokens = [token for token in self._tokens if token.offset < end]
        return text

    def _read(self, ids: Sequence[int], logprobs: Sequence[TokenLogprob]) -> None:
        for place, token in enumerate(ids):
            if logprobs and not self._transcript.stopped:
                self._tokens.append(self._token(token, logprobs[place]))
            self._text += self._transcript.add(token)

    def _token(self, token: int, found: TokenLogprob) -> CompletionToken:
        return CompletionToken(
            chosen=self._texts.alternative(token, found.logprob),
            offset=self._transcript.num_chars,
            top=[self._texts.alternative(other, logprob) for other, logprob in found.top],
        )
