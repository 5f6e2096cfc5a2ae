"""What the curves of a run say of it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from engine.port import Result, Step, Train, Trained
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.training.loop_state import Epoch
from trainer.training.progress import overfits


def epochs(losses: list[float], dev_losses: list[float | None]) -> list[Epoch]:
    return [
        Epoch(number=i + 1, loss=loss, dev={"accuracy": 0.5}, best=False, dev_loss=dev_loss)
        for i, (loss, dev_loss) in enumerate(zip(losses, dev_losses, strict=True))
    ]


def test_a_dev_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    assert overfits(epochs([3.0, 2.0, 1.0, 0.5], [2.0, 1.0, 1.2, 1.4]))


@pytest.mark.parametrize(
    ("losses", "dev_losses"),
    [
        ([2.0, 1.0], [1.0, 2.0]),  # two epochs are no trend
        ([3.0, 2.0, 1.0], [1.2, 1.0, 1.4]),  # once is none either
        ([1.0, 1.0, 1.0], [1.0, 1.2, 1.4]),  # nothing is learned at all
        ([3.0, 2.0, 1.0], [1.0, 1.01, 1.02]),  # hardly
        ([3.0, 2.0, 1.0], [None, None, None]),
    ],
)
def test_what_is_no_overfitting(losses: list[float], dev_losses: list[float | None]) -> None:
    assert not overfits(epochs(losses, dev_losses))


class Memorising(FakeEngine):
    """Says that its training loss falls, while it goes the wrong way."""

    def submit(self, step: Step) -> Future[Result]:
        if not isinstance(step, Train):
            return FakeEngine.submit(self, step)
        FakeEngine.submit(self, step)
        if step.step >= 10:
            # more and more sure of the wrong answer, whatever the step has taught
            self.training[step.slot].model.weight[:] = self.learned * (9 - step.step)
        else:
            self.learned = self.training[step.slot].model.weight.copy()
        future: Future[Result] = Future()
        future.set_result(Trained(loss=1.0 / (step.step + 1), grad_norm=1.0))
        return future


def test_a_job_that_overfits_says_so_once_for_each_run(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Memorising())
    settings = {"epochs": 8, "patience": 8, "batch_rows": 8, "seeds": 2, "warmup_share": 0.0}
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows(80)), settings=settings))
    assert trainer_env.trainer.run_once()
    events = trainer_env.trainer.events(TENANT, job.id, limit=99)
    found = [event for event in events if event.code == "run.overfits"]
    assert [event.data["run"] for event in found] == ["seed-0", "seed-1"]
    assert "while the dev loss rose from" in found[0].message
    trainer_env.close()
