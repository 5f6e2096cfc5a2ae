"""When a run has had enough epochs, and which of them is the best."""

from __future__ import annotations

import pytest

from trainer.settings.settings import TrainingSettings
from trainer.training.early_stopping import count_stale_epochs, is_best, should_stop
from trainer.training.loop_state import Epoch, LoopState

SETTINGS = TrainingSettings(epochs=5, patience=2)


def after(num_epochs: int, stale: int = 0, best: tuple[float, ...] | None = None) -> LoopState:
    epochs = tuple(Epoch(number=n + 1, loss=1.0, dev={}, best=False) for n in range(num_epochs))
    return LoopState(epochs=epochs, stale=stale, best=best)


@pytest.mark.parametrize(
    ("num_epochs", "stale", "stops"),
    [(0, 0, False), (4, 1, False), (3, 2, True), (5, 0, True)],
)
def test_a_run_stops_after_its_last_epoch_or_when_its_patience_is_used_up(
    num_epochs: int, stale: int, stops: bool
) -> None:
    assert should_stop(after(num_epochs, stale), SETTINGS) is stops


def test_only_a_higher_score_is_better() -> None:
    assert is_best((0.5, 0.0), after(0), is_whole=True)
    assert is_best((0.6, 0.0), after(1, best=(0.5, 0.9)), is_whole=True)
    assert not is_best((0.5, 0.9), after(1, best=(0.5, 0.9)), is_whole=True)


def test_an_epoch_that_trained_a_part_is_never_the_best_and_uses_up_no_patience() -> None:
    assert not is_best((0.9,), after(1, stale=1, best=(0.5,)), is_whole=False)
    assert count_stale_epochs(after(1, stale=1), improved=False, is_whole=False) == 0


def test_epochs_without_an_improvement_are_counted_in_a_row() -> None:
    assert count_stale_epochs(after(2, stale=1), improved=False, is_whole=True) == 2
    assert count_stale_epochs(after(2, stale=1), improved=True, is_whole=True) == 0
