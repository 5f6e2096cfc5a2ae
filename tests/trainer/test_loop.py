"""The training loop over the fake engine: one step ahead, best on dev, early stop, divergence."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from engine.errors import Diverged
from engine.port import (
    OpenTraining,
    Restore,
    Result,
    Snapshot,
    Step,
    Train,
    Trained,
    TrainingOpened,
)
from engine.testing.fake_base import fake_info
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import examples
from trainer.dataset.encode import encode_examples, head_for
from trainer.engine_client import IN_FLIGHT, EngineSession, call
from trainer.errors import Cancelled, Paused, Stopping, TrainerError, TrainingDiverged
from trainer.evaluation.evaluate import Evaluation, dev_score
from trainer.settings.settings import TrainingSettings
from trainer.training.loop import Training, Watcher
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_config import RunConfig

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


def course(num_dev: int = 10, **settings: Any) -> RunConfig:
    words = {"glad": "yay happy", "sad": "boo gloom"}
    labels = ["glad", "sad"] * 30
    rows = examples(labels, [f"{words[label]} {i}" for i, label in enumerate(labels)])
    head = head_for("classify", "mean", ["glad", "sad"], rows)
    encoded = encode_examples(rows, head, TOKENIZER, None)
    return RunConfig(
        train=encoded[num_dev:],
        dev=encoded[:num_dev],
        head=head,
        settings=TrainingSettings(**settings),
        learning_rate=1e-3,
    )


def evaluation(metrics: dict[str, Any], loss: float | None) -> Evaluation:
    return Evaluation(metrics=metrics, loss=loss, answers=[], predictions=[])


class Looker:
    """Hears of every step and epoch, and ends the run with `end` after its last step."""

    checkpoint_due = False

    def __init__(
        self,
        last_step: int | None = None,
        last_epoch: int | None = None,
        end: type[TrainerError] = Cancelled,
    ) -> None:
        self.last_step, self.last_epoch, self.end = last_step, last_epoch, end
        self.num_steps = 0
        self.states: list[LoopState] = []
        self.left_at: LoopState | None = None

    def on_fill_end(self) -> None:
        pass

    def on_step_end(self) -> None:
        self.num_steps += 1
        if self.num_steps == self.last_step:
            raise self.end

    def on_checkpoint(self, state: LoopState) -> None:
        self.states.append(state)

    def on_epoch_end(self, state: LoopState) -> bool:
        self.states.append(state)
        return len(state.epochs) != self.last_epoch

    def on_interrupt(self, state: LoopState) -> None:
        self.left_at = state


def training(port: FakeEngine, what: RunConfig, watcher: Watcher | None = None) -> Training:
    config = {"rank": 8}
    opening = OpenTraining(kind="lora", kind_config=config, head=what.head, seed=0)
    slot = call(port, opening, TrainingOpened).slot
    return Training(EngineSession(port), slot, what, watcher or Looker())


def trained(port: FakeEngine, what: RunConfig) -> tuple[Epoch, ...]:
    return training(port, what).train().epochs


def steps(port: FakeEngine, kind: type[Any]) -> list[Any]:
    return [step for step in port.steps if isinstance(step, kind)]


def test_the_loss_falls_and_the_best_epoch_is_remembered() -> None:
    port = FakeEngine()
    epochs = trained(port, course(epochs=3))
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
    flat = RunConfig(
        train=what.train, dev=what.dev, head=what.head, settings=what.settings, learning_rate=0.0
    )
    epochs = trained(port, flat)
    assert [epoch.best for epoch in epochs] == [True, False, False]
    assert len(steps(port, Restore)) == 1


def test_between_equal_scores_the_lower_loss_is_better() -> None:
    scores = [
        dev_score(
            {"kind": "classify"},
            Evaluation(metrics={"accuracy": a}, loss=loss, answers=[], predictions=[]),
        )
        for a, loss in ((0.5, 1.0), (0.5, 0.9), (0.4, 0.1))
    ]
    assert sorted(scores) == [scores[2], scores[0], scores[1]]


def test_a_smaller_error_is_the_better_one_for_values() -> None:
    small, large = (
        dev_score(
            {"kind": "regress"},
            Evaluation(metrics={"rmse": rmse}, loss=None, answers=[], predictions=[]),
        )
        for rmse in (1.0, 2.0)
    )
    assert small > large


def test_a_run_that_goes_on_from_a_state_sends_what_was_left_of_it() -> None:
    whole, rest = FakeEngine(), FakeEngine()
    looker = Looker()
    end = training(whole, course(epochs=3), looker).train()
    begun = LoopState.from_json(json.loads(json.dumps(looker.states[0].to_json())))
    assert begun == looker.states[0]
    went_on = training(rest, course(epochs=3)).train(begun)
    assert steps(rest, Train) == steps(whole, Train)[begun.step :]
    assert (went_on.step, len(went_on.epochs)) == (end.step, 3)
    assert went_on.epochs[0] == end.epochs[0]


def test_whoever_watches_may_end_the_run_after_an_epoch() -> None:
    port = FakeEngine()
    state = training(port, course(epochs=5), Looker(last_epoch=2)).train()
    assert len(state.epochs) == 2


def test_a_run_goes_on_from_the_middle_of_an_epoch() -> None:
    whole, rest = FakeEngine(), FakeEngine()
    what = course(epochs=1, batch_rows=10)
    training(whole, what).train()
    training(rest, what).train(LoopState(step=3, loss_sum=0.5))
    assert steps(rest, Train) == steps(whole, Train)[3:]


def test_without_dev_rows_the_last_epoch_stays() -> None:
    port = FakeEngine()
    epochs = trained(port, course(num_dev=0, epochs=2))
    assert [epoch.dev for epoch in epochs] == [{}, {}]
    assert steps(port, Snapshot) == steps(port, Restore) == []


def test_a_diverged_loss_is_told_with_its_learning_rate() -> None:
    port = FakeEngine(broken={Train: Diverged("the training loss is nan")})
    sentence = r"step 0, at the learning rate 0\.001: the training loss is nan; a smaller one"
    with pytest.raises(TrainingDiverged, match=sentence):
        training(port, course()).train()


class Exploding(FakeEngine):
    """Finite, and from some step on as far off as can be."""

    def __init__(self, from_step: int, num: int) -> None:
        super().__init__()
        self.wild = range(from_step, from_step + num)

    def submit(self, step: Step) -> Future[Result]:
        if not (isinstance(step, Train) and step.step in self.wild):
            return FakeEngine.submit(self, step)
        wild: Future[Result] = Future()
        wild.set_result(Trained(loss=50.0, grad_norm=900.0))
        return wild


def test_a_finite_loss_far_above_the_usual_for_several_steps_is_divergence_too() -> None:
    port = Exploding(from_step=10, num=20)
    sentence = r"at step 14, .* loss 50 beside a usual 0\.[0-9]+, gradient norm 900 .* for 5 steps"
    with pytest.raises(TrainingDiverged, match=sentence):
        training(port, course(epochs=6, batch_rows=10)).train()


def test_a_few_wild_steps_are_no_divergence() -> None:
    port = Exploding(from_step=10, num=4)
    assert len(trained(port, course(epochs=4, batch_rows=10, patience=9))) == 4


def test_whoever_watches_may_end_the_run_and_no_step_stays_on_its_way() -> None:
    port, looker = LazyEngine(), Looker(last_step=3)
    with pytest.raises(Cancelled):
        training(port, course(epochs=5, batch_rows=5), looker).train()
    assert (looker.num_steps, port.waiting) == (3, 0)


@pytest.mark.parametrize("end", [Paused, Stopping])
@pytest.mark.parametrize("last_step", [1, 4, 5, 9])
def test_a_run_that_is_left_says_where_its_slot_is(end: type[TrainerError], last_step: int) -> None:
    whole, port = FakeEngine(), LazyEngine()
    what = course(epochs=3, batch_rows=10)
    expected = training(whole, what).train()
    left = training(port, what, looker := Looker(last_step, end=end))
    with pytest.raises(end):
        left.train()
    assert looker.left_at is not None
    assert looker.left_at.step == port.training[left.slot].num_steps
    assert (
        Training(EngineSession(port), left.slot, what, Looker()).train(looker.left_at) == expected
    )


def test_a_run_that_is_cancelled_is_not_left_for_later() -> None:
    with pytest.raises(Cancelled):
        training(FakeEngine(), course(), looker := Looker(3)).train()
    assert looker.left_at is None


def test_a_wanted_rest_comes_with_no_step_on_its_way() -> None:
    port = LazyEngine()
    looker = Looker()
    looker.checkpoint_due = True
    left = training(port, course(epochs=1, batch_rows=10), looker)
    assert left.train().step == 5
    assert port.waiting == 0
    assert [state.step for state in looker.states] == [1, 2, 3, 4, 5, 5]
