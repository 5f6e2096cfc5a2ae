"""The trials of a search as a table, and the one that won as a sentence. Chooses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from engine.kind_settings import KIND_SETTINGS


class TrialRow(TypedDict):
    """One trial."""

    #: from 0, the job's own settings
    number: int
    #: its values of the settings that vary, without those that its kind lacks
    settings: dict[str, Any]
    #: completed, pruned or diverged
    status: str
    epochs: int
    planned_epochs: int
    #: its best value of the metric on dev; null where it diverged
    value: float | None


class SearchTrials(TypedDict):
    """A random search, scored on dev rows."""

    #: the head's main metric on dev
    metric: str | None
    #: the number of the trial that became the version
    chosen: int
    #: the names of the settings in which the trials differ
    settings: list[str]
    trials: list[TrialRow]
    #: the winner with its settings, as a sentence
    words: str


def list_trials(search: Mapping[str, Any] | None, metrics: Sequence[str]) -> SearchTrials | None:
    """`metrics` are those that a search may follow, the main one first."""
    if search is None:
        return None
    trials, own = search["trials"], search["settings"]
    names = list(dict.fromkeys(name for trial in trials for name in trial["settings"]))
    metric = next((name for name in metrics if any(name in t["dev"] for t in trials)), None)
    rows = [_list_trial(trial, own, names, metric) for trial in trials]
    winner = next(row for row in rows if row["number"] == search["chosen"])
    return {
        "metric": metric,
        "chosen": search["chosen"],
        "settings": names,
        "trials": rows,
        "words": _describe(winner, rows, metric),
    }


def _list_trial(
    trial: Mapping[str, Any], own: Mapping[str, Any], names: Sequence[str], metric: str | None
) -> TrialRow:
    values = {name: trial["settings"].get(name, own[name]) for name in names}
    kind = trial["settings"].get("kind", own["kind"])
    others = {name for each in KIND_SETTINGS.values() for name in each.names()}
    lacking = others - set(KIND_SETTINGS[kind].names())
    return {
        "number": trial["number"],
        "settings": {name: value for name, value in values.items() if name not in lacking},
        "status": trial["status"],
        "epochs": trial["epochs"],
        "planned_epochs": trial["planned_epochs"],
        "value": trial["dev"].get(metric or ""),
    }


def _describe(winner: TrialRow, rows: Sequence[TrialRow], metric: str | None) -> str:
    counts = Counter(row["status"] for row in rows)
    ended = [f"{counts[status]} {status}" for status in ("pruned", "diverged") if counts[status]]
    score = "" if winner["value"] is None else f", {winner['value']:.3f}"
    values = ", ".join(
        f"{name.replace('_', ' ')} {_format(value)}" for name, value in winner["settings"].items()
    )
    name = (metric or "score").replace("_", " ")
    others = f" ({', '.join(ended)})" if ended else ""
    return (
        f"Of {len(rows)} trials{others}, trial {winner['number']} has the best dev {name}{score}: "
        f"{values}."
    )


def _format(value: Any) -> str:
    if value is None:
        return "default"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
