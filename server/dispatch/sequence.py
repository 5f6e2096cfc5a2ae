"""A queue entry while its row writes. Knows no engine and no loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.port import Failure, Row, SequenceOutput, StartSequence, TokenLogprob
from server.dispatch.draft import GenerationParams
from server.dispatch.entry import Answer, Entry
from server.dispatch.observer import GenerationObserver
from server.errors import DeadlinePassed

#: how a text ends that a stop string ended; the engine says the same of its end tokens
_STOP = "stop"
#: and one that had no more room, or no more time
_LENGTH = "length"


@dataclass(slots=True, eq=False, kw_only=True)
class RunningSequence:
    """An entry that writes: its key in the engine, its slot, and what it has written."""

    entry: Entry
    key: int
    slot: int
    began_at: float
    #: whether its adapter had to be placed, and how many had to leave their slots for it
    num_placed: int = 0
    num_swapped: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_cached: int = 0
    finish: str = ""
    failure: Failure | None = None
    #: when it wrote last
    wrote_at: float | None = None

    def begin(self) -> StartSequence:
        draft, ids = self.draft, self.entry.rows[0].ids
        return StartSequence(
            key=self.key, row=Row(ids=ids, slot=self.slot), max_tokens=draft.max_tokens,
            sampling=draft.sampling, salt=draft.salt,
        )  # fmt: skip

    def take(self, result: SequenceOutput | Failure) -> bool:
        """What the row did in one step. True: it must be released, the engine does not know yet
        that it is over.
        """
        if isinstance(result, Failure):
            self.failure = result
            return False
        self.ids += result.ids
        self.logprobs += result.logprobs
        self.num_cached = max(self.num_cached, result.num_cached)
        self.finish = result.finish
        if self.draft.hear is None or self.entry.future.done():
            return False
        if not self.draft.hear(result) or self.finish:
            return False
        self.finish = _STOP
        return True

    def tell(
        self, observer: GenerationObserver, result: SequenceOutput | Failure, now: float
    ) -> None:
        """Of what the step wrote."""
        if isinstance(result, Failure) or not result.ids:
            return
        before, self.wrote_at = self.wrote_at, now
        if before is None:
            observer.began_writing(
                after_s=now - self.entry.enqueued_at,
                num_prompt=self.entry.cost,
                num_cached=self.num_cached,
            )
        observer.wrote(
            num_tokens=len(result.ids),
            after_s=None if before is None else (now - before) / len(result.ids),
        )

    def answer(self, now: float) -> Answer:
        row = self.failure or SequenceOutput(
            ids=self.ids, finish=self.finish, logprobs=self.logprobs, num_cached=self.num_cached
        )
        return Answer(rows=[row], queue_s=self.queue_s, compute_s=now - self.began_at)

    def cut(self, now: float) -> Answer:
        """What it wrote by now, as a text that may not go on."""
        row = SequenceOutput(
            ids=list(self.ids), finish=_LENGTH, logprobs=list(self.logprobs),
            num_cached=self.num_cached,
        )  # fmt: skip
        return Answer(rows=[row], queue_s=self.queue_s, compute_s=now - self.began_at)

    @property
    def draft(self) -> GenerationParams:
        assert self.entry.draft is not None, "an entry that writes comes with its draft"
        return self.entry.draft

    @property
    def queue_s(self) -> float:
        return self.began_at - self.entry.enqueued_at

    @property
    def is_over(self) -> bool:
        return bool(self.finish) or self.failure is not None

    @property
    def num_tokens(self) -> int:
        """How many tokens the engine holds for it, once it has read all of its prompt."""
        return self.entry.cost + len(self.ids)


def reason_of(outcome: Answer | Exception | None) -> str:
    """Why a text ended, for the metrics."""
    if isinstance(outcome, Answer):
        row = outcome.rows[0]
        return row.finish if isinstance(row, SequenceOutput) else "error"
    return "abort" if outcome is None or isinstance(outcome, DeadlinePassed) else "error"
