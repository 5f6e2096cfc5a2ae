"""A queue entry while its sequence is generated. Knows no engine and no event loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.port import Failure, Row, SequenceOutput, StartSequence, TokenLogprob
from server.dispatch.entry import Answer, Entry
from server.errors import DeadlinePassed
from server.observers import GenerationObserver

#: the finish reason of a sequence that a stop string ended; the engine's for its end tokens
_STOP = "stop"
#: the finish reason of a sequence that reached its length or its deadline
_LENGTH = "length"


@dataclass(slots=True, eq=False, kw_only=True)
class RunningSequence:
    """An entry being generated: its key in the engine, its slot, and its tokens so far."""

    entry: Entry
    key: int
    slot: int
    started_at: float
    #: whether its adapter had to be placed in a slot, and how many were evicted for it
    num_placed: int = 0
    num_swapped: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_cached: int = 0
    finish: str = ""
    failure: Failure | None = None
    #: when its latest token came
    last_token_at: float | None = None

    def begin(self) -> StartSequence:
        entry = self.entry
        return StartSequence(
            key=self.key,
            row=Row.of(ids=entry.rows[0].ids, slot=self.slot),
            max_tokens=entry.max_tokens,
            sampling=entry.sampling,
            # only sequences with the same salt share cached prefixes, so none crosses tenants
            salt=entry.tenant,
        )

    def add_output(self, result: SequenceOutput | Failure) -> bool:
        """Adds what one step generated. True: a stop string ended the sequence, so the caller must
        release it in the engine.
        """
        if isinstance(result, Failure):
            self.failure = result
            return False
        self.ids += result.ids
        self.logprobs += result.logprobs
        self.num_cached = max(self.num_cached, result.num_cached)
        self.finish = result.finish
        output = self.entry.output
        if output is None or self.entry.future.done():
            return False
        try:
            stopped = output.on_tokens(result)
        except Exception as error:  # noqa: BLE001
            # output that cannot be processed ends its own sequence, and no other
            self.entry.future.set_exception(error)
            return False
        if not stopped or self.finish:
            return False
        self.finish = _STOP
        return True

    def report(
        self, observer: GenerationObserver, result: SequenceOutput | Failure, now: float
    ) -> None:
        """Reports the tokens of one step."""
        if isinstance(result, Failure) or not result.ids:
            return
        before, self.last_token_at = self.last_token_at, now
        if before is None:
            observer.observe_first_token(
                after_s=now - self.entry.enqueued_at,
                num_prompt=self.entry.cost,
                num_cached=self.num_cached,
            )
        observer.observe_tokens(
            num_tokens=len(result.ids),
            after_s=None if before is None else (now - before) / len(result.ids),
        )

    def answer(self, now: float, *, cut: bool = False) -> Answer:
        """The result so far. `cut`: the sequence ends here, as if it had reached its length."""
        row = self.failure or SequenceOutput(
            ids=list(self.ids),
            finish=_LENGTH if cut else self.finish,
            logprobs=list(self.logprobs),
            num_cached=self.num_cached,
        )
        return Answer(rows=[row], queue_s=self.queue_s, compute_s=now - self.started_at)

    def deliver(self, answer: Answer) -> None:
        """Resolves the entry's future, unless that is done."""
        if self.entry.future.done():
            return
        [row] = answer.rows
        try:
            if self.entry.output is not None and isinstance(row, SequenceOutput | Failure):
                self.entry.output.finish(row)
        except Exception as error:  # noqa: BLE001 as above
            self.entry.future.set_exception(error)
        else:
            self.entry.future.set_result(answer)

    @property
    def queue_s(self) -> float:
        return self.started_at - self.entry.enqueued_at

    @property
    def is_over(self) -> bool:
        return bool(self.finish) or self.failure is not None

    @property
    def num_tokens(self) -> int:
        """How many tokens the engine holds for it once its whole prompt is processed."""
        return self.entry.cost + len(self.ids)


def reason_of(outcome: Answer | Exception | None) -> str:
    """Why a sequence ended, for the metrics."""
    if isinstance(outcome, Answer):
        row = outcome.rows[0]
        return row.finish if isinstance(row, SequenceOutput) else "error"
    return "abort" if outcome is None or isinstance(outcome, DeadlinePassed) else "error"
