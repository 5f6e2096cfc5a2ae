"""Generation as steps: sequences are started, extended together by a token each, and freed.

Plain data, torch-free. `engine.port` re-exports these names; import them from there.
"""

from __future__ import annotations

import msgspec

from engine.port.messages import Failure, Message, Row


class Sampling(Message, frozen=True, kw_only=True):
    """How a row's next token is chosen. As it stands: greedily.

    Penalties are OpenAI's (presence, frequency: subtracted, of what was written) and CTRL's
    (repetition: of prompt and text, arXiv:1909.05858). `seed` and the token's place in the text
    alone decide what is drawn, so a row repeats itself whatever it is batched with.
    """

    #: 0: the likeliest token, always
    temperature: float = 0.0
    #: the likeliest so many; 0: all
    top_k: int = 0
    #: the likeliest that reach this share together
    top_p: float = 1.0
    #: those at least this share as likely as the likeliest
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    #: added to the logits of tokens
    logit_bias: dict[int, float] = msgspec.field(default_factory=dict)
    seed: int = 0
    #: how many of the likeliest tokens are named beside each written one; -1: no logprobs at all
    logprobs: int = -1
    #: tokens that end the text, beside the base's own
    stop_ids: list[int] = msgspec.field(default_factory=list)
    #: the base's own end tokens do not end the text
    ignore_eos: bool = False
    #: what the text must match, in llguidance's JSON; "": anything
    grammar: str = ""


class StartSequence(Message, frozen=True, kw_only=True):
    """A row that begins to write after what it reads.

    Its slot must keep what it holds until the row finishes, fails or is released. Rows of one salt
    and one digest may share what they read in common; those without a salt share nothing.
    """

    key: int
    row: Row
    max_tokens: int
    sampling: Sampling = Sampling()
    salt: str = ""


class Generate(Message, frozen=True, kw_only=True):
    """Place digests into slots, let rows begin, and let all of the named rows go on by one forward.

    In it each row either reads a stretch of its prompt or writes one token. Rows are named in
    order of rank: where memory or `max_tokens` (what all of them may read in one forward) falls
    short, the earlier ones go first, and the last lose what they had read and read it again later.
    `begin` ranks after `keys`. `num_tokens` forwards are made, unless all finish sooner.
    `background`: nobody waits for it but a training.
    """

    begin: list[StartSequence] = msgspec.field(default_factory=list)
    keys: list[int] = msgspec.field(default_factory=list)
    place: dict[int, str] = msgspec.field(default_factory=dict)
    max_tokens: int = 2048
    num_tokens: int = 1
    background: bool = False


class FreeSequences(Message, frozen=True, kw_only=True):
    """Forget running rows, finished or not; unknown keys are no fault."""

    keys: list[int]


class TokenLogprob(Message, frozen=True, kw_only=True):
    """A written token's natural logarithm of its probability, and the likeliest tokens beside it.

    Probabilities are the base's with the adapter, before temperature, penalties and cuts.
    """

    logprob: float
    #: token and logprob, likeliest first
    top: list[tuple[int, float]] = msgspec.field(default_factory=list)


class SequenceOutput(Message, frozen=True, kw_only=True):
    """What a running row wrote in one step; `finish` says why it writes no more.

    It is "" while the row runs on, "stop" after an end token (which is not among `ids`), "length"
    when the row has all the tokens it may have. No ids and no finish: it still reads or waits.
    """

    ids: list[int]
    finish: str = ""
    #: one for each id, where the row asked for them
    logprobs: list[TokenLogprob] = msgspec.field(default_factory=list)
    #: tokens of the prompt that were read before, by this or another row; with the first id
    num_cached: int = 0


class Generated(Message, frozen=True, kw_only=True):
    """One result per row of the step: `keys` in order, then `begin`.

    A row that failed or finished runs no more.
    """

    rows: list[SequenceOutput | Failure]
    forward_s: float
    num_tokens: int
    num_adapters: int
    #: that running rows of any caller hold now
    used_blocks: int = 0
