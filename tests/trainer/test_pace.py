"""How long a job still takes, by a clock that only the work moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.port import OpenTraining
from tests.trainer.build import Clock, TrainerEnv, jsonl, mood_rows
from tests.trainer.timed import TimedEngine
from trainer.jobs.lease import Lease
from trainer.training.cost_model import RunCost, drop_filled, expect_halving, sum_work
from trainer.training.eta import EtaEstimator


def work(epochs: float = 4.0) -> RunCost:
    return RunCost(fill=3.0, epoch=2.0, dev=1.0, epochs=epochs, frozen_share=0.5)


def test_nothing_is_said_before_anything_was_measured() -> None:
    pace = EtaEstimator(Clock())
    pace.expect({"trained": 10.0})
    assert (pace.share, pace.eta_s) == (0.0, None)


def test_each_sort_of_work_goes_at_its_own_rate() -> None:
    clock = Clock()
    pace = EtaEstimator(clock)
    pace.expect({"trained": 4.0, "answered": 2.0}, fixed_s=5.0)
    clock.now += 6
    pace.did("trained", 2.0)
    # not measured yet: at the rate of all the others
    assert pace.eta_s == pytest.approx(2 * 3 + 2 * 3 + 5)
    clock.now += 1
    pace.did("answered", 1.0)
    assert pace.eta_s == pytest.approx(2 * 3 + 1 * 1 + 5)


def test_the_share_never_falls_when_more_is_to_do_than_was_thought() -> None:
    clock = Clock()
    pace = EtaEstimator(clock)
    pace.expect({"trained": 4.0})
    clock.now += 1
    pace.did("trained", 2.0)
    before = pace.share
    pace.expect({"trained": 40.0})
    assert pace.share == before == pytest.approx(0.5)


def test_a_run_fills_its_prefix_once() -> None:
    assert work().remaining(0) == {"trained": 8.0, "answered": 3.0 + 4.0}
    assert work().remaining(1) == {"trained": 6.0, "answered": 3.0}
    assert work().remaining(4) == {"trained": 0.0, "answered": 0.0}
    assert sum_work([work().remaining(3), work().remaining(3)])["trained"] == 4.0


def test_runs_whose_prefix_ends_alike_fill_it_once() -> None:
    other = replace(work(), frozen_share=0.25)
    assert [each.fill for each in drop_filled([work(), work(), other], [])] == [3.0, 0.0, 3.0]
    assert [each.fill for each in drop_filled([work(), other], [0.5])] == [0.0, 3.0]


def test_halving_is_expected_to_end_half_of_those_that_come_later() -> None:
    epochs = [each.epochs for each in expect_halving([work(4.0)] * 8, 2)]
    assert epochs[0] == 4.0  # the first is always in the better half
    assert all(1.0 < each < 3.0 for each in epochs[2:])


class Told:
    """Each (time, seconds left) that the job's owner could have seen."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seen: list[tuple[float, float]] = []
        self.shares: list[float] = []

    def error_after(self, share: float) -> float:
        """How far the estimate at that share of the run was off, as a share of what was left."""
        began, ended = self.seen[0][0], self.clock.now
        moment = began + share * (ended - began)
        at, eta_s = next(each for each in self.seen if each[0] >= moment)
        return abs(eta_s - (ended - at)) / (ended - at)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told(Clock())
    advance = Lease.advance

    def heard(self: Lease, share: float, eta_s: float | None = None) -> None:
        told.shares.append(share)
        if eta_s is not None:
            told.seen.append((told.clock.now, eta_s))
        advance(self, share, eta_s)

    monkeypatch.setattr(Lease, "advance", heard)
    monkeypatch.setattr("trainer.pipeline.job_run.REPORT_S", 0.0)
    return told


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({"epochs": 5, "seeds": 3}, 0.1),
        ({"epochs": 5, "seeds": 1, "layers": "half"}, 0.1),
        # nothing is answered before the end of its first epoch: there are no layers to fill
        ({"epochs": 5, "seeds": 1}, 0.25),
        ({"epochs": 5, "seeds": 2, "learning_curve": True}, 0.1),
        (
            {"epochs": 4, "seeds": 3, "search": {"trials": 8, "halving": False, "space": "rates"}},
            0.1,
        ),
        ({"epochs": 8, "seeds": 3, "search": {"trials": 8, "space": "rates"}}, 0.1),
    ],
)
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_soon_after_a_job_began_its_end_is_known_within_a_fifth(
    tmp_path: Path,
    told: Told,
    settings: dict[str, Any],
    after: float,
    factor: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # candidates neither all alike nor in order of merit, so that halving ends about half of them
    scores = Random(1)
    monkeypatch.setattr(
        "trainer.training.loop.dev_score", lambda head, dev, loss: (scores.random(), 0.0)
    )
    rates = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    if "search" in settings:
        settings = {**settings, "search": {**settings["search"], "space": rates}}
    engine = TimedEngine(clock=told.clock, factor=factor)
    trainer_env = TrainerEnv(directory=tmp_path, port=engine, pace_clock=told.clock)
    content = jsonl(mood_rows(400))
    trainer_env.trainer.submit(trainer_env.spec(content, settings={**settings, "patience": 99}))
    assert trainer_env.trainer.run_once()
    assert sum(isinstance(step, OpenTraining) for step in engine.steps) >= settings["seeds"]
    assert told.error_after(after) <= 0.2
    assert told.shares == sorted(told.shares), "the bar went back"
    trainer_env.close()
