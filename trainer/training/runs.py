"""The runs of one job on the same encoded rows, each in a training slot of its own, from the
beginning or from a checkpoint. Owns these slots; makes no decisions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import msgspec

from engine.errors import BadCheckpoint
from engine.port import Average, CloseTraining, Done, Forget, TrainingOpened
from trainer.engine_client import EngineSession
from trainer.errors import TrainingDiverged
from trainer.evaluation.evaluate import dev_score, evaluate
from trainer.jobs.events import EmitEvent
from trainer.jobs.values import JobSpec
from trainer.recipe.modules import frozen_share
from trainer.recipe.recipe import learning_rate, open_training
from trainer.recipe.unfreezing import stages_of
from trainer.training.checkpointing import CheckpointCallback, CheckpointInterval
from trainer.training.checkpoints import JobCheckpoints
from trainer.training.cost_model import RunCost
from trainer.training.loop import Training
from trainer.training.loop_state import LoopState
from trainer.training.progress import GoesOn, Progress, always
from trainer.training.run_checkpoints import RunCheckpoints, SavedRun
from trainer.training.run_config import RunConfig
from trainer.training.run_result import RunResult, best_run


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """How the checkpoints of a job's runs are written, and where their events go."""

    checkpoints: JobCheckpoints
    interval: CheckpointInterval
    emit: EmitEvent


class Runs:
    """A context: a run's slot stays open until it is dropped or the context ends."""

    def __init__(
        self,
        session: EngineSession,
        run_config: RunConfig,
        progress: Progress,
        dataset: str,
        checkpointing: CheckpointConfig,
    ) -> None:
        self._session = session.with_check(progress.poll)
        self._course, self._progress = run_config, progress
        #: what the rows' frozen activations go by, for all runs
        self._dataset = dataset
        self._checkpointing = checkpointing
        self._slots: list[int] = []

    def __enter__(self) -> Runs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for slot in list(self._slots):
            self._close(slot)
        self._session.release(Forget(cache=self._dataset))

    def train(self, spec: JobSpec, name: str, goes_on: GoesOn = always) -> RunResult:
        """One run, from fresh weights or where it was left to the best epoch on dev. One that ended
        before is not trained again. Raises TrainingDiverged.
        """
        run_config = self.run_config_of(spec)
        folder_name = _name(spec, self._dataset)
        folder = self._checkpointing.checkpoints.run(folder_name)
        opened, kept = self._begin(spec, folder)
        state = kept.state if kept else None
        run = self._checkpoint_callback(spec, name, opened.slot, folder_name)
        with self._progress.run(name, run_config, goes_on, state):
            # whoever ends runs early hears of what was done before, too
            goes = state is None or goes_on(state)
            if goes and (kept is None or not kept.ended):
                state = self._train(Training(self._session, opened.slot, run_config, run), state)
                run.on_end(state)
        assert state is not None
        return RunResult(spec=spec, run_config=run_config, opened=opened, state=state)

    def _train(self, training: Training, state: LoopState | None) -> LoopState:
        try:
            return training.train(state)
        except TrainingDiverged:
            self._close(training.slot)
            raise

    def average(self, outcomes: Sequence[RunResult]) -> RunResult | None:
        """The best of the runs with the mean of all their weights in a slot of its own; None where
        the mean is no better on dev, or there are no dev rows to tell.
        """
        best = best_run(outcomes)
        config, best_score = best.run_config, best.state.best
        if best_score is None:
            return None
        opened = self._open(best.spec)
        slots = [outcome.opened.slot for outcome in outcomes]
        self._session.call(Average(slot=opened.slot, slots=slots), Done)
        dev = evaluate(self._session, config.dev, config.head, opened.slot)
        if dev_score(config.head, dev) <= best_score:
            self._close(opened.slot)
            return None
        return replace(best, opened=opened, averaged_dev=dev.metrics)

    def drop(self, outcome: RunResult) -> None:
        self._close(outcome.opened.slot)

    def run_config_of(self, spec: JobSpec) -> RunConfig:
        return replace(
            self._course,
            settings=spec.settings,
            learning_rate=learning_rate(spec),
            frozen_share=frozen_share(spec.kind, spec.settings, self._session.info),
            stages=stages_of(spec, self._session.info),
        )

    def expect(self, runs: Sequence[RunCost]) -> None:
        """For the time that is left: the runs still to come."""
        self._progress.expect(runs)

    def _checkpoint_callback(
        self, spec: JobSpec, name: str, slot: int, folder: str
    ) -> CheckpointCallback:
        checkpoints = self._checkpointing.checkpoints
        return CheckpointCallback(
            session=self._session,
            slot=slot,
            progress=self._progress,
            checkpoints=checkpoints.run(folder),
            share=lambda: checkpoints.share(folder),
            interval=self._checkpointing.interval,
            emit=self._checkpointing.emit,
            facts={"run": name, "seed": spec.settings.seed},
        )

    def _begin(
        self, spec: JobSpec, folder: RunCheckpoints
    ) -> tuple[TrainingOpened, SavedRun | None]:
        """The run's slot as it was left; a fresh one where it never was, or nobody can go on."""
        emit, seed = self._checkpointing.emit, spec.settings.seed
        try:
            if (kept := folder.last()) is None:
                return self._open(spec), None
            opened = self._open(spec, kept)
        except BadCheckpoint as error:
            emit(
                "checkpoint.unusable",
                f"{error}; the run starts from the beginning",
                "warn",
                seed=seed,
            )
            folder.drop()
            return self._open(spec), None
        step = kept.state.step
        emit("training.resumed", f"The run continues after step {step}.", seed=seed, step=step)
        return opened, kept

    def _open(self, spec: JobSpec, kept: SavedRun | None = None) -> TrainingOpened:
        examples = [row.example for row in self._course.train]
        step = open_training(spec, self._course.head, self._session.info, examples, self._dataset)
        if kept is not None:
            step = msgspec.structs.replace(step, resume=str(kept.directory))
        opened = self._session.call(step, TrainingOpened)
        self._slots.append(opened.slot)
        if kept is not None and opened.num_steps != kept.state.step:
            raise BadCheckpoint(
                f"the slot took {opened.num_steps} steps, the loop counts {kept.state.step}"
            )
        return opened

    def _close(self, slot: int) -> None:
        self._slots.remove(slot)
        self._session.release(CloseTraining(slot=slot))


def _name(spec: JobSpec, dataset: str) -> str:
    """What sets a run apart from the job's others: its settings, its seed among them, and its rows,
    of which a learning curve takes fewer.
    """
    content = json.dumps([spec.to_json(), dataset], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
