"""The estimate of a dry run: measures a few steps on a sample of the job's own rows, in a slot that
is closed afterwards. Publishes nothing and knows no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
from trainer.errors import BadSetting
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import JobSpec
from trainer.pipeline.reference_runs import planned_epochs
from trainer.pipeline.sample import SAMPLE_ROWS, Sample, num_tokens
from trainer.recipe.modules import frozen_share
from trainer.recipe.preset_specs import describe_preset, with_preset
from trainer.recipe.recipe import PROMPT, check_recipe, open_training
from trainer.recipe.search_space import candidates
from trainer.settings.presets import MEASURED, PRESETS
from trainer.training.loop import Training
from trainer.training.run_config import RunConfig

#: of a parameter that is trained: itself in full, its gradient, two moments and the best so far
_TRAINED_BYTES = 4 * 5
#: of kept activations; more is computed anew in every epoch
_CACHE_BYTES = OpenTraining(kind="", kind_config={}, head={}, seed=0).cache_bytes
_WIDTHS = {"float32": 4, "float64": 8}
_HALF = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetEstimate:
    """What the same job would take with a preset; what the caller named stays."""

    preset: str
    #: what it would train
    summary: str
    seconds: float
    #: whether it is the job's own
    chosen: bool
    #: its score on the sets of benchmarks/defaults, beside the default's
    measured: str


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
    #: the cheapest first; none where nothing is trained
    presets: list[PresetEstimate] = field(default_factory=list)


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
    session = EngineSession(port, tokenizer=tokenizer)
    return _Estimator(sample=sample, run_config=run_config, session=session, clock=clock).run(spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimator:
    """Measures the sample at every depth that it is asked for."""

    sample: Sample
    run_config: RunConfig
    session: EngineSession
    clock: Callable[[], float]

    def run(self, spec: JobSpec) -> Estimate:
        sample, measured = self.sample, self._measure(spec)
        num_epochs, num_trainable = self._count_epochs(spec), measured.opened.num_trainable
        cache_bytes = measured.cache_bytes * self._scale
        return Estimate(
            steps=round(num_epochs * sample.steps_per_epoch),
            tokens=round(num_epochs * sample.tokens["train"]),
            seconds=self._estimate_seconds(spec, measured),
            basis="measured",
            rows=sample.sizes,
            trainable_parameters=num_trainable,
            slot_bytes=num_trainable * _WIDTHS.get(self.session.info.dtype, _HALF),
            optimizer_bytes=num_trainable * _TRAINED_BYTES,
            cache_bytes=round(min(cache_bytes, _CACHE_BYTES)),
            warnings=sample.warnings,
            findings=sample.findings,
            presets=list(self._estimate_presets(spec, measured)),
        )

    def _estimate_presets(self, spec: JobSpec, measured: _Measured) -> Iterator[PresetEstimate]:
        """Depths and batches are measured apart; others differ by epochs and seeds. One that is
        refused beside what the caller named, such as modules of lower layers, is left out.
        """
        known = {self._shape(spec): measured}
        for name in PRESETS:
            other = with_preset(spec, name, self.sample.sizes["train"])
            try:
                check_recipe(other, self.session.info)
            except BadSetting:
                continue
            if self._shape(other) not in known:
                known[self._shape(other)] = self._measure(other)
            yield PresetEstimate(
                preset=name,
                summary=describe_preset(other, self.session.info),
                seconds=self._estimate_seconds(other, known[self._shape(other)]),
                chosen=name == spec.settings.preset,
                measured=MEASURED[name],
            )

    def _estimate_seconds(self, spec: JobSpec, measured: _Measured) -> float:
        """Of the whole job."""
        watch, tokens, num_epochs = measured.watch, self.sample.tokens, self._count_epochs(spec)
        lost = 1 - min(1.0, _CACHE_BYTES / max(1.0, measured.cache_bytes * self._scale))
        # what is kept is computed once for all runs, what finds no room in every epoch
        training_s = watch.filling_s * (1 + num_epochs * lost) + num_epochs * watch.training_s
        answer_s = watch.answering_s / max(1, num_tokens(self.run_config.dev))
        answered_tokens = num_epochs * tokens["dev"] + spec.settings.seeds * tokens["test"]
        seconds = self.sample.reading_s + training_s * self._scale + answered_tokens * answer_s
        return round(seconds, 3)

    def _measure(self, spec: JobSpec) -> _Measured:
        rows = min(spec.settings.batch_rows, SAMPLE_ROWS)
        settings = self.run_config.settings.model_copy(update={"batch_rows": rows})
        run_config = replace(
            self.run_config, frozen_share=self._frozen_share(spec), settings=settings
        )
        return _measure(spec, run_config, self.session, self.clock)

    def _count_epochs(self, spec: JobSpec) -> float:
        return planned_epochs(spec, candidates(spec, self.session.info))

    def _shape(self, spec: JobSpec) -> tuple[float, int]:
        """What the time of an epoch follows from."""
        return self._frozen_share(spec), spec.settings.batch_rows

    def _frozen_share(self, spec: JobSpec) -> float:
        return frozen_share(spec.kind, spec.settings, self.session.info)

    @property
    def _scale(self) -> float:
        """All training rows, as a multiple of the sample's."""
        return self.sample.tokens["train"] / num_tokens(self.run_config.train)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Two epochs on the sample: the opened slot, the times of its phases, the bytes it cached."""

    opened: TrainingOpened
    watch: _Watch
    cache_bytes: int


def _measure(
    spec: JobSpec, run_config: RunConfig, session: EngineSession, clock: Callable[[], float]
) -> _Measured:
    before = _cache_bytes(session)
    examples = [row.example for row in run_config.train]
    step = open_training(spec, run_config.head, session.info, examples)
    opened = session.call(step, TrainingOpened)
    try:
        watch = _Watch(clock=clock)
        Training(session, opened.slot, run_config, watch).train()
        return _Measured(
            opened=opened,
            watch=watch,
            cache_bytes=max(0, _cache_bytes(session) - before),
        )
    finally:
        session.release(CloseTraining(slot=opened.slot))


def _cache_bytes(session: EngineSession) -> int:
    return session.call(Stats(), EngineStats).cache_bytes
