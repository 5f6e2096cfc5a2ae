"""The training loop over the fake engine: one step ahead, best on dev, early stop, divergence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from engine.errors import Diverged
from engine.fake_base import fake_info
from engine.port import OpenTraining, Restore, Result, Snapshot, Step, Train, TrainingOpened
from engine.testing import FakeEngine
from engine.tokenizer import Tokenizer
from tests.trainer.build import examples
from trainer.ask import ask
from trainer.encode import encode_examples, head_for
from trainer.errors import Cancelled, TrainingDiverged
from trainer.evaluate import Evaluation
from trainer.loop import IN_FLIGHT, Best, Course, Training
from trainer.settings import TrainingSettings

TOKENIZER = Tokenizer(fake_info().tokenizer_json, 128)


class LazyEngine(FakeEngine):
    """Answers a training step only when asked for it, so that a test sees how many wait at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.most_waiting = 0

    def submit(self, step: Step) -> Future[Result]:
        if not isinstance(step, Train):
            assert not self.waiting, "a step overtook the training steps it depends on"
            return FakeEngine.submit(self, step)
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        return Later(lambda: FakeEngine.submit(self, step), self)


class Later(Future[Result]):
    """A future that runs when its result is asked for."""

    def __init__(self, run: Callable[[], Future[Result]], engine: LazyEngine) -> None:
        super().__init__()
        self._run = run
        self._engine = engine

    def result(self, timeout: float | None = None) -> Result:
        self._engine.waiting -= 1
        return self._run().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._engine.waiting -= 1
        return self._run().exception()


def course(num_dev: int = 10, **settings: Any) -> Course:
    words = {"glad": "yay happy", "sad": "boo gloom"}
    labels = ["glad", "sad"] * 30
    rows = examples(labels, [f"{words[label]} {i}" for i, label in enumerate(labels)])
    head = head_for("classify", "mean", ["glad", "sad"], rows)
    encoded = encode_examples(rows, head, TOKENIZER, None)
    return Course(
        train=encoded[num_dev:],
        dev=encoded[:num_dev],
        head=head,
        settings=TrainingSettings(**settings),
        learning_rate=1e-3,
    )


def training(
    port: FakeEngine, what: Course, watch: Callable[[float, float | None], None] | None = None
) -> Training:
    config = {"rank": 8}
    opening = OpenTraining(kind="lora", kind_config=config, head=what.head, seed=0)
    slot = ask(port, opening, TrainingOpened).slot
    return Training(port, slot, what, watch or (lambda share, eta_s: None))


def steps(port: FakeEngine, kind: type[Any]) -> list[Any]:
    return [step for step in port.steps if isinstance(step, kind)]


def test_the_loss_falls_and_the_best_epoch_is_remembered() -> None:
    port = FakeEngine()
    epochs = training(port, course(epochs=3)).train()
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].dev["accuracy"] == 1.0
    assert len(steps(port, Snapshot)) == sum(epoch.best for epoch in epochs) > 0


def test_one_step_waits_while_another_runs_and_nothing_overtakes_them() -> None:
    port = LazyEngine()
    training(port, course(epochs=2, batch_rows=8)).train()
    assert (port.most_waiting, port.waiting) == (IN_FLIGHT, 0)


def test_the_same_seed_submits_the_same_steps() -> None:
    first, second, other = FakeEngine(), FakeEngine(), FakeEngine()
    for port, seed in ((first, 1), (second, 1), (other, 2)):
        training(port, course(epochs=2, seed=seed)).train()
    assert steps(first, Train) == steps(second, Train)
    assert steps(first, Train) != steps(other, Train)


def test_steps_are_numbered_through_and_follow_the_schedule() -> None:
    port = FakeEngine()
    what = course(epochs=2, batch_rows=10, warmup_share=0.2)
    training(port, what).train()
    sent = steps(port, Train)
    assert [step.step for step in sent] == list(range(what.num_steps)) == list(range(10))
    assert [s.learning_rate for s in sent] == [what.schedule.rate(i) for i in range(10)]


def test_training_stops_when_dev_no_longer_improves_and_goes_back_to_the_best() -> None:
    port = FakeEngine()
    what = course(epochs=50, patience=2)
    flat = Course(
        train=what.train, dev=what.dev, head=what.head, settings=what.settings, learning_rate=0.0
    )
    epochs = training(port, flat).train()
    assert [epoch.best for epoch in epochs] == [True, False, False]
    assert len(steps(port, Restore)) == 1


def test_between_equal_scores_the_lower_loss_is_better() -> None:
    best = Best(("accuracy",), more_is_better=True)
    found = [
        best.improves(Evaluation(metrics={"accuracy": a}, loss=loss, logits=[]))
        for a, loss in ((0.5, 1.0), (0.5, 0.9), (0.5, 0.9), (0.4, 0.1))
    ]
    assert (found, best.stale) == ([True, True, False, False], 2)


def test_a_smaller_error_is_the_better_one_for_values() -> None:
    best = Best(("rmse",), more_is_better=False)
    found = [
        best.improves(Evaluation(metrics={"rmse": rmse}, loss=None, logits=[]))
        for rmse in (2.0, 1.0, 1.5)
    ]
    assert found == [True, True, False]


def test_without_dev_rows_the_last_epoch_stays() -> None:
    port = FakeEngine()
    epochs = training(port, course(num_dev=0, epochs=2)).train()
    assert [epoch.dev for epoch in epochs] == [{}, {}]
    assert steps(port, Snapshot) == steps(port, Restore) == []


def test_a_diverged_loss_is_told_with_its_learning_rate() -> None:
    port = FakeEngine(broken={Train: Diverged("the training loss is nan")})
    with pytest.raises(TrainingDiverged, match=r"learning rate 0\.001; a smaller one"):
        training(port, course()).train()


def test_whoever_watches_may_end_the_run_and_no_step_stays_on_its_way() -> None:
    port = LazyEngine()
    heard: list[float] = []

    def watch(share: float, eta_s: float | None) -> None:
        heard.extend([share] if share else [])  # none while activations are filled
        if len(heard) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        training(port, course(epochs=5, batch_rows=5), watch).train()
    assert heard == pytest.approx([0.02, 0.04, 0.06])
    assert port.waiting == 0
