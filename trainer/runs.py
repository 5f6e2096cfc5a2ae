"""The runs of one job on the same encoded rows, each in a training slot of its own. Owns those
slots; chooses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from engine.errors import EngineGone, NotLoaded
from engine.port import CloseTraining, Done, EnginePort, Forget, Step, TrainingOpened
from trainer.ask import ask
from trainer.course import Course
from trainer.errors import TrainingDiverged
from trainer.loop import Training
from trainer.modules import frozen_share
from trainer.outcome import Outcome
from trainer.progress import GoesOn, Progress, always
from trainer.recipe import learning_rate, open_training
from trainer.unfreezing import stages_of
from trainer.values import JobSpec
from trainer.workload import RunWork


class Runs:
    """A context: a run's slot stays open until it is dropped or the context ends."""

    def __init__(self, port: EnginePort, course: Course, progress: Progress, dataset: str) -> None:
        self._port, self._course, self._progress = port, course, progress
        #: what the rows' frozen activations go by, for all runs
        self._dataset = dataset
        self._generation = port.generation
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
        self._tell(Forget(cache=self._dataset))

    def train(self, spec: JobSpec, name: str, goes_on: GoesOn = always) -> Outcome:
        """One run, from fresh weights to the best epoch on dev. Raises TrainingDiverged."""
        course = self.course_of(spec)
        opened = self._open(spec)
        with self._progress.run(name, course, goes_on):
            try:
                state = Training(self._port, opened.slot, course, self._progress).train()
            except TrainingDiverged:
                self._close(opened.slot)
                raise
        return Outcome(spec=spec, course=course, opened=opened, state=state)

    def drop(self, outcome: Outcome) -> None:
        self._close(outcome.opened.slot)

    def course_of(self, spec: JobSpec) -> Course:
        return replace(
            self._course,
            settings=spec.settings,
            learning_rate=learning_rate(spec),
            frozen_share=frozen_share(spec.kind, spec.settings, self._port.info),
            stages=stages_of(spec, self._port.info),
        )

    def expect(self, runs: Sequence[RunWork]) -> None:
        """For the time that is left: the runs still to come."""
        self._progress.expect(runs)

    def _open(self, spec: JobSpec) -> TrainingOpened:
        examples = [row.example for row in self._course.train]
        step = open_training(spec, self._course.head, self._port.info, examples, self._dataset)
        opened = ask(self._port, step, TrainingOpened)
        self._slots.append(opened.slot)
        return opened

    def _close(self, slot: int) -> None:
        self._slots.remove(slot)
        self._tell(CloseTraining(slot=slot))

    def _tell(self, step: Step) -> None:
        # after a crash the slot is gone, or its number is already someone else's
        if self._port.generation == self._generation:
            with suppress(EngineGone, NotLoaded):
                ask(self._port, step, Done)
