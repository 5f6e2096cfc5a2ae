"""The same job with another preset, and what it would train in words. Knows the presets and what
the caller named; trains nothing.
"""

from __future__ import annotations

from dataclasses import replace

from engine.port import EngineInfo
from trainer.jobs.values import JobSpec
from trainer.recipe.enough_steps import choose_steps
from trainer.recipe.modules import adapted_layers
from trainer.settings.presets import PresetName
from trainer.settings.settings import BY_ROWS, TrainingSettings, plain_settings
from trainer.wording import count_of


def with_preset(spec: JobSpec, preset: PresetName, num_rows: int) -> JobSpec:
    """What the caller named stays. What follows from the number of training rows follows anew, but
    for a head that is trained alone: its recipe is that of too few rows.
    """
    settings, plain = spec.settings, plain_settings(spec.settings)
    others = TrainingSettings.parse({"preset": preset})
    by_rows = () if spec.kind == "head_only" else BY_ROWS
    changes = {
        name: getattr(others, name)
        for name in TrainingSettings.model_fields
        if name not in spec.chosen
        and (name in by_rows or getattr(settings, name) == getattr(plain, name))
    }
    other = replace(spec, settings=settings.model_copy(update={**changes, "preset": preset}))
    steps = choose_steps(other, num_rows) if by_rows else {}
    return replace(other, settings=other.settings.model_copy(update=steps))


def describe_preset(spec: JobSpec, info: EngineInfo) -> str:
    """`6 of 6 layers, 3 seeds, their mean where it is better on dev`."""
    num = len(adapted_layers(spec.kind, spec.settings, info))
    depth = f"{num} of {info.num_layers} layers" if num else "the head alone"
    seeds = spec.settings.seeds
    mean = ", their mean where it is better on dev" if spec.settings.average_seeds else ""
    return f"{depth}, {count_of(seeds, 'seed')}{mean if seeds > 1 else ''}"
