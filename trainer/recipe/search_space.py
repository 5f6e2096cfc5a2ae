"""The search space, and the candidates drawn from it: complete job specs. The same job draws the
same candidates, so that all of them are checked before the job is queued. Trains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil, floor
from typing import TYPE_CHECKING, Any, get_type_hints

from engine.kind_settings import KIND_SETTINGS, PLACEMENT
from engine.port import EngineInfo
from trainer.errors import BadSetting
from trainer.jobs.values import JobSpec
from trainer.settings.search_settings import SearchSettings
from trainer.settings.settings import TrainingSettings, plain_settings

if TYPE_CHECKING:
    from optuna.trial import Trial

#: settings for reading, splitting and evaluation are equal in all trials
_FIXED = {
    "seed", "seeds", "search", "dev_share", "test_share", "max_tokens", "window", "stride",
    "threshold", "patience", "preset", "average_seeds", "initial_seed",
}  # fmt: skip
_SEARCHED = TrainingSettings.model_fields.keys() - _FIXED
#: kinds that a search compares with each other
_PEERS = ("lora", "bottleneck")
#: a small space may not hold as many different candidates as there are trials
_DRAWS_PER_TRIAL = 20


def candidates(spec: JobSpec, info: EngineInfo | None) -> list[JobSpec]:
    """The job's own settings first, and only those without a search; then drawn settings without
    repetitions, without `info` only where the job names the space. Raises BadSetting.
    """
    search = spec.settings.search
    if search is None:
        return [spec]
    _check_names(search)
    if info is None and search.space is None:
        return [_without_search(spec)]
    specs = [_without_search(spec)]
    for trial in _ask_trials(spec.settings.seed, search.trials * _DRAWS_PER_TRIAL):
        if len(specs) == search.trials:
            break
        candidate = _draw(trial, spec, search, info)
        if candidate not in specs:
            specs.append(candidate)
    return specs


def differences(spec: JobSpec, candidate: JobSpec) -> dict[str, Any]:
    """The settings in which a candidate differs from the job."""
    names = [name for name in TrainingSettings.model_fields if name in _SEARCHED]
    changes = {"kind": candidate.kind} if candidate.kind != spec.kind else {}
    pairs = ((n, getattr(candidate.settings, n), getattr(spec.settings, n)) for n in names)
    return changes | {name: mine for name, mine, theirs in pairs if mine != theirs}


def usual_space(kind: str, spec: JobSpec, info: EngineInfo) -> dict[str, Any]:
    """The default search space of a kind on this base, around the job's settings."""
    settings, declared = spec.settings, KIND_SETTINGS[kind]
    rate, epochs, num = declared.default_learning_rate, settings.epochs, info.num_layers
    least = settings.unfreeze + 1
    space: dict[str, Any] = {
        "learning_rate": {"low": rate / 3, "high": rate * 3, "log": True},
        "dropout": [0.0, 0.1, 0.2],
        "epochs": sorted({max(least, round(epochs * 0.6)), epochs, min(200, round(epochs * 1.6))}),
    }
    space |= declared.search_space(settings, info.hidden_size)
    has_default_modules = settings.targets is None and settings.rank_pattern is None
    if "layers" in declared.names() and has_default_modules:
        # words where they say it, so that no trial repeats the job's own `layers`
        space["layers"] = [max(1, num // 3), "half", "all"] if info.ranged else ["all"]
    return space


def usual_kinds(spec: JobSpec, info: EngineInfo) -> list[str]:
    """The kinds to compare: both peers, or only the job's kind if it is another one or has settings
    of its own.
    """
    peers = [kind for kind in _PEERS if kind in info.kinds]
    chosen = differs_by_kind(spec)
    return peers if spec.kind in peers and not chosen else [spec.kind]


def differs_by_kind(spec: JobSpec) -> bool:
    """Whether the job has settings of its kind, which another kind would lose."""
    plain = plain_settings(spec.settings)
    own = [name for name in KIND_SETTINGS[spec.kind].names() if name not in PLACEMENT]
    return any(getattr(spec.settings, name) != getattr(plain, name) for name in own)


def _ask_trials(seed: int, num: int) -> Iterator[Trial]:
    # imported here, because importing optuna would add a quarter of a second to the server's start
    from optuna import create_study, logging
    from optuna.samplers import RandomSampler

    logging.set_verbosity(logging.WARNING)
    study = create_study(sampler=RandomSampler(seed=seed))
    return (study.ask() for _ in range(num))


def _draw(trial: Trial, spec: JobSpec, search: SearchSettings, info: EngineInfo | None) -> JobSpec:
    kind = _value(trial, "kind", _kinds(spec, search, info))
    if not isinstance(kind, str) or kind not in KIND_SETTINGS:
        raise BadSetting(
            f"search.space has the kind {kind!r}; it must be one of {', '.join(KIND_SETTINGS)}.",
            name="search",
        )
    of_kinds = {name for each in KIND_SETTINGS.values() for name in each.names()}
    others = of_kinds - {*KIND_SETTINGS[kind].names()}
    raw = {
        name: _value(trial, name, choices)
        for name, choices in _space(kind, spec, search, info).items()
        if name != "kind" and name not in others
    }
    plain = plain_settings(spec.settings)
    kept = {name: getattr(plain, name) for name in others}
    parsed = TrainingSettings.parse(raw)
    values = {name: getattr(parsed, name) for name in raw}
    settings = spec.settings.model_copy(update={"search": None, **kept, **values})
    return replace(spec, kind=kind, settings=settings)


def _kinds(spec: JobSpec, search: SearchSettings, info: EngineInfo | None) -> Any:
    if search.space is not None:
        return search.space.get("kind", [spec.kind])
    assert info is not None, "the usual kinds are those of a base"
    return usual_kinds(spec, info)


def _space(
    kind: str, spec: JobSpec, search: SearchSettings, info: EngineInfo | None
) -> Mapping[str, Any]:
    if search.space is not None:
        return search.space
    assert info is not None, "the usual space is that of a base"
    return usual_space(kind, spec, info)


def _value(trial: Trial, name: str, choices: Any) -> Any:
    if isinstance(choices, list):
        # the sampler's categories cannot be lists or objects, so their indices are drawn
        return choices[trial.suggest_int(f"{name} of {len(choices)}", 0, len(choices) - 1)]
    low, high, log = choices["low"], choices["high"], choices["log"]
    if name not in _whole_settings():
        return trial.suggest_float(name, low, high, log=log)
    least, most = max(ceil(low), int(log)), floor(high)
    if least > most:
        raise BadSetting(
            f"search.space draws {name} from {low} to {high}, which contains no whole number.",
            name="search",
        )
    return trial.suggest_int(name, least, most, log=log)


def _whole_settings() -> set[str]:
    hints = get_type_hints(TrainingSettings)
    return {name for name, hint in hints.items() if hint in (int, int | None)}


def _without_search(spec: JobSpec) -> JobSpec:
    return replace(spec, settings=spec.settings.model_copy(update={"search": None}))


def _check_names(search: SearchSettings) -> None:
    known = sorted(_SEARCHED | {"kind"})
    for name in search.space or {}:
        if name not in known:
            raise BadSetting(
                f"search.space names {name!r}, which cannot be searched; it may name "
                f"{', '.join(known)}.",
                name="search",
            )
