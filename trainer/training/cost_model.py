"""Estimates the work of a run, in tokens times layers, before anything was timed. Pure: it knows
run configurations, not engines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.heads.encoded import EncodedRow
from trainer.training.run_config import RunConfig

#: sorts of work: rows that are trained on, and rows that only go forwards, to be answered or to
#: fill what training starts with
TRAINED, ANSWERED = "trained", "answered"
#: units by sort
Work = Mapping[str, float]
#: what a trained layer costs beside one that only answers: forward and backward, adapter and all
_TRAINED = 2.5
#: one whose own weights are trained too, in full fine-tuning
_TRAINED_WHOLE = 3.0
#: heads, optimizer and the way there and back, as a share of all layers
_BESIDE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """One run, epoch by epoch."""

    #: units of its rows' prefix, of each epoch, and of the dev rows after it
    fill: float
    epoch: float
    dev: float
    #: how many epochs are expected; no whole number where a run may end early
    epochs: float
    #: where its prefix ends; runs that share one share its filling
    frozen_share: float = 0.0

    @classmethod
    def of(cls, run_config: RunConfig) -> RunCost:
        tokens, frozen = num_tokens(run_config.train), run_config.frozen_share
        return cls(
            fill=tokens * frozen,
            epoch=tokens * ((1 - frozen) * _TRAINED + _BESIDE),
            dev=num_tokens(run_config.dev) * (1 - frozen + _BESIDE),
            epochs=run_config.settings.epochs,
            frozen_share=frozen,
        )

    def remaining(self, num_done: int) -> Work:
        """What is left once so many epochs are done."""
        rest = max(0.0, self.epochs - num_done)
        return {
            TRAINED: self.epoch * rest,
            ANSWERED: self.dev * rest + (0.0 if num_done else self.fill),
        }


def share_of_run(work: RunCost, share: float) -> RunCost:
    """Of a run of as many steps on a share of the training rows."""
    return replace(
        work, fill=work.fill * share, epoch=work.epoch * share, epochs=work.epochs / share
    )


def full_finetuning_work(run_config: RunConfig) -> Work:
    """Of full fine-tuning on the same rows."""
    return {TRAINED: num_tokens(run_config.train) * run_config.settings.epochs * _TRAINED_WHOLE}


def evaluation_work(
    run_config: RunConfig, tests: Sequence[EncodedRow], again: Sequence[EncodedRow]
) -> Work:
    """After training: test rows for every seed and their mean, and as the proof of what is saved by
    the path that serves, which keeps nothing; rows that the report looks at again.
    """
    frozen, num_tests = run_config.frozen_share, num_tokens(tests)
    settings = run_config.settings
    num_runs = settings.seeds + (settings.average_seeds and settings.seeds > 1)
    num_answers = num_tests * num_runs + num_tokens(again)
    return {ANSWERED: num_tests * (1 + frozen) + num_answers * (1 - frozen)}


def drop_filled(works: Iterable[RunCost], filled: Iterable[float]) -> list[RunCost]:
    """The same runs, without the prefixes that an earlier one has filled by then."""
    seen, costs = set(filled), []
    for work in works:
        costs.append(replace(work, fill=0.0) if work.frozen_share in seen else work)
        seen.add(work.frozen_share)
    return costs


def num_tokens(rows: Iterable[EncodedRow]) -> int:
    return sum(row.num_tokens for row in rows)


def sum_work(works: Iterable[Work]) -> Work:
    """By sort."""
    total: defaultdict[str, float] = defaultdict(float)
    for work in works:
        for sort, units in work.items():
            total[sort] += units
    return dict(total)


def mean_work(works: Sequence[RunCost]) -> RunCost:
    """Of the one that wins, whichever it is: its prefix was filled before."""
    num = len(works)
    return RunCost(
        fill=0.0,
        epoch=sum(work.epoch for work in works) / num,
        dev=sum(work.dev for work in works) / num,
        epochs=sum(work.epochs for work in works) / num,
    )


def expect_halving(works: Sequence[RunCost], reduction: int) -> list[RunCost]:
    """The same runs with as many epochs as successive halving lets them have on average: at each
    rung one in `reduction` of those that came so far goes on, and always the first.
    """
    arrived: defaultdict[int, float] = defaultdict(float)
    expected: list[RunCost] = []
    for work in works:
        chance, epochs = 1.0, 0.0
        for number in range(1, int(work.epochs) + 1):
            epochs += chance
            if _is_rung(number, reduction):
                arrived[number] += chance
                chance *= _passes(arrived[number], reduction) if number < work.epochs else 1.0
        expected.append(replace(work, epochs=epochs))
    return expected


def _is_rung(epoch: int, reduction: int) -> bool:
    while epoch % reduction == 0:
        epoch //= reduction
    return epoch == 1


def _passes(num_arrived: float, reduction: int) -> float:
    num = max(1.0, num_arrived)
    return max(1.0, num // reduction) / num
