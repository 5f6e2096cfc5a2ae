"""How many passes over the training rows a job plans, over all its runs. Trains and measures
nothing.
"""

from __future__ import annotations

from statistics import fmean

from engine.port import EngineInfo
from trainer.jobs.values import JobSpec
from trainer.pipeline.reference_runs import curve_shares
from trainer.recipe.search_space import candidates
from trainer.training.cost_model import RunCost, halved
from trainer.training.search import REDUCTION


def planned_epochs(spec: JobSpec, info: EngineInfo) -> float:
    """If no run stops early but those that halving ends; of those, as many as it does on average.

    A search's winner is the first of the seeds.
    """
    tried = candidates(spec, info)
    search = spec.settings.search
    works = [RunCost(fill=0.0, epoch=1.0, dev=0.0, epochs=each.settings.epochs) for each in tried]
    usual = fmean(work.epochs for work in works)
    ran = halved(works, REDUCTION) if search is not None and search.halving else works
    curve = sum(curve_shares(spec.settings))
    return sum(work.epochs for work in ran) + usual * (spec.settings.seeds - 1 + curve)
