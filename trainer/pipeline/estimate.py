"""The estimate of a dry run: measures a few steps on a sample of the job's own rows, in a slot that
is closed afterwards. Publishes nothing and knows no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.port import (
    CloseTraining,
    EnginePort,
    EngineStats,
    OpenTraining,
    Stats,
    TrainingOpened,
)
from engine.text.tokenizer import Tokenizer
from trainer.engine_client import EngineSession
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import JobSpec
from trainer.pipeline.reference_runs import planned_epochs
from trainer.pipeline.sample import Sample, num_tokens
from trainer.recipe.recipe import PROMPT, open_training
from trainer.recipe.search_space import candidates
from trainer.training.loop import Training
from trainer.training.run_config import RunConfig

#: of a parameter that is trained: itself in full, its gradient, two moments and the best so far
_TRAINED_BYTES = 4 * 5
#: of kept activations; more is computed anew in every epoch
_CACHE_BYTES = OpenTraining(kind="", kind_config={}, head={}, seed=0).cache_bytes
_WIDTHS = {"float32": 4, "float64": 8}
_HALF = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of the whole job, by `planned_epochs`. `basis` says where the seconds come from."""

    #: of all runs together
    steps: int
    tokens: int
    seconds: float
    basis: str
    rows: dict[str, int]
    trainable_parameters: int
    #: of the version, where it is served
    slot_bytes: int
    #: of one run while it trains
    optimizer_bytes: int
    #: of frozen activations that would be kept
    cache_bytes: int
    warnings: list[str]
    #: what a check of the files reports, as JSON; the warnings are among them
    findings: list[dict[str, Any]] = field(default_factory=list)


def estimate(
    sample: Sample,
    port: EnginePort,
    tokenizer: Tokenizer,
    clock: Callable[[], float] = time.monotonic,
) -> Estimate:
    """Raises the engine's errors."""
    spec = spec_of(sample.spec, sample.spec["tenant"])
    if spec.kind == PROMPT:
        return _prompt_estimate(sample)
    run_config = sample.run_config(port.info, tokenizer)
    opened, watch, cache_bytes = _measure(
        spec, run_config, EngineSession(port, tokenizer=tokenizer), clock
    )
    tokens, num_seeds = sample.tokens["train"], spec.settings.seeds
    num_epochs = planned_epochs(spec, candidates(spec, port.info))
    scale = tokens / num_tokens(run_config.train)
    lost = 1 - min(1.0, _CACHE_BYTES / max(1.0, cache_bytes * scale))
    # what is kept is computed once for all runs, what finds no room in every epoch
    training_s = watch.filling_s * (1 + num_epochs * lost) + num_epochs * watch.training_s
    answer_s = watch.answering_s / max(1, num_tokens(run_config.dev))
    judged_tokens = num_epochs * sample.tokens["dev"] + num_seeds * sample.tokens["test"]
    width = _WIDTHS.get(port.info.dtype, _HALF)
    return Estimate(
        steps=round(num_epochs * sample.steps_per_epoch),
        tokens=round(num_epochs * tokens),
        seconds=round(sample.reading_s + training_s * scale + judged_tokens * answer_s, 3),
        basis="measured",
        rows=sample.sizes,
        trainable_parameters=opened.num_trainable,
        slot_bytes=opened.num_trainable * width,
        optimizer_bytes=opened.num_trainable * _TRAINED_BYTES,
        cache_bytes=round(min(cache_bytes * scale, _CACHE_BYTES)),
        warnings=sample.warnings,
        findings=sample.findings,
    )


def _prompt_estimate(sample: Sample) -> Estimate:
    """The estimate for a prompt, which is only evaluated."""
    return Estimate(
        steps=0,
        tokens=0,
        seconds=0.0,
        basis="no training",
        rows=sample.sizes,
        trainable_parameters=0,
        slot_bytes=0,
        optimizer_bytes=0,
        cache_bytes=0,
        warnings=sample.warnings,
        findings=sample.findings,
    )


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Times two epochs on the sample; the second one takes as long as all later ones."""

    clock: Callable[[], float]
    filling_s: float = field(init=False, default=0.0)
    training_s: float = field(init=False, default=0.0)
    answering_s: float = field(init=False, default=0.0)
    _since: float = field(init=False)
    _stepped: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self._stepped = self.clock()

    @property
    def checkpoint_due(self) -> bool:
        return False

    def on_checkpoint(self, state: object) -> None:
        del state

    def on_interrupt(self, state: object) -> None:
        del state

    def on_fill_end(self) -> None:
        now = self.clock()
        self.filling_s = now - self._since
        self._since = self._stepped = now

    def on_step_end(self) -> None:
        self._stepped = self.clock()

    def on_epoch_end(self, state: object) -> Any:
        del state
        now = self.clock()
        self.training_s = self._stepped - self._since
        self.answering_s = now - self._stepped
        self._since = now
        return True


def _measure(
    spec: JobSpec, run_config: RunConfig, session: EngineSession, clock: Callable[[], float]
) -> tuple[TrainingOpened, _Watch, int]:
    """The opened slot, the times of its phases, and the bytes that it cached."""
    before = _cache_bytes(session)
    examples = [row.example for row in run_config.train]
    step = open_training(spec, run_config.head, session.info, examples)
    opened = session.call(step, TrainingOpened)
    try:
        watch = _Watch(clock=clock)
        Training(session, opened.slot, run_config, watch).train()
        return opened, watch, max(0, _cache_bytes(session) - before)
    finally:
        session.release(CloseTraining(slot=opened.slot))


def _cache_bytes(session: EngineSession) -> int:
    return session.call(Stats(), EngineStats).cache_bytes
