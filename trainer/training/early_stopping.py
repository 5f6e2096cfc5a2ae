"""Early stopping: which epoch of a run is the best so far, and when the run should stop.

Pure; knows scores on dev rows and settings. An epoch in which layers are still frozen cannot be the
best, because its adapter is incomplete.
"""

from __future__ import annotations

from trainer.settings.settings import TrainingSettings
from trainer.training.loop_state import LoopState


def is_best(score: tuple[float, ...], state: LoopState, *, is_whole: bool) -> bool:
    """`score` is that of the epoch that just ended, the higher the better; `is_whole` says that
    the epoch trained every adapted layer.
    """
    return is_whole and (state.best is None or score > state.best)


def count_stale_epochs(state: LoopState, *, improved: bool, is_whole: bool) -> int:
    """How many epochs in a row have not improved, with the one that just ended."""
    return 0 if improved or not is_whole else state.stale + 1


def should_stop(state: LoopState, settings: TrainingSettings) -> bool:
    """Whether the run has had all its epochs, or `patience` of them without an improvement."""
    return state.stale >= settings.patience or len(state.epochs) >= settings.epochs
