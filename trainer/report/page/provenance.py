"""Where a version comes from, read from its lineage: the files, settings, software and machine, and
the commands that train it again and promote it. Knows the lineage's names; measures nothing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.kind_settings import KIND_SETTINGS
from trainer.settings.settings import BY_ROWS, TrainingSettings
from trainer.wording import count_of

_PARTS = ("train", "dev", "test")
#: columns as the command names them, and their defaults
_COLUMNS = {
    "text": ("--text-column", "text"),
    "text_pair": ("--text-pair-column", ""),
    "label": ("--label-column", "label"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A line to copy, and what it does."""

    purpose: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the page says about the origin of a version; empty parts are not shown."""

    #: a name and a value each
    facts: Sequence[tuple[str, str]] = ()
    #: part, name and sha256 of each file
    files: Sequence[tuple[str, str, str]] = ()
    #: settings that differ from their defaults
    changed: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    commands: Sequence[Command] = ()
    #: how long a text takes (`evaluation/latency.py`), and on what
    speed: str | None = None


def describe_provenance(
    task: str, number: int, lineage: Mapping[str, Any], base: str
) -> Provenance:
    """What the lineage of an earlier release lacks is left out."""
    settings = _known_settings(lineage.get("settings", {}))
    defaults = TrainingSettings().model_dump(mode="json")
    return Provenance(
        facts=_list_facts(lineage, base),
        files=[
            (part, file["filename"], file["sha256"])
            for part, file in sorted(lineage.get("files", {}).items(), key=_order)
        ],
        changed={name: value for name, value in settings.items() if value != defaults.get(name)},
        settings=settings and {**settings, "learning_rate": lineage.get("learning_rate")},
        commands=list_commands(task, number, lineage),
        speed=_describe_speed(lineage),
    )


def list_commands(task: str, number: int, lineage: Mapping[str, Any]) -> list[Command]:
    """Commands that can be copied, to be run where the files are."""
    promote = Command(
        purpose="Promote it",
        line=shlex.join(["adapterd", "adapters", "promote", task, str(number)]),
    )
    request = lineage.get("request")
    if not request or "files" not in lineage:
        return [promote]
    again = _train(task, lineage, request["kind"], _name_settings(lineage))
    commands = [promote, Command(purpose="Train it again", line=again)]
    if lineage.get("search"):
        preset = {n: value for n, value in request["settings"].items() if n == "preset"}
        defaults = TrainingSettings.parse(preset).model_dump(mode="json")
        # the settings of the published run have the seed that was kept
        first = request["settings"].get("seed", defaults["seed"])
        settings = {**_known_settings(lineage["settings"]), "seed": first}
        won = {
            name: value
            for name, value in settings.items()
            if name in (*BY_ROWS, *preset) or value != defaults.get(name)
        }
        line = _train(task, lineage, lineage["kind"], won)
        commands.append(Command(purpose="Train the winner of the search alone", line=line))
    return commands


def _name_settings(lineage: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those that train it again: what was named, and of a release without presets what has another
    default since.
    """
    named: Mapping[str, Any] = lineage["request"]["settings"]
    settings = _known_settings(lineage.get("settings", {}))
    if not settings or "preset" in settings or lineage.get("search"):
        return named
    changed = [*BY_ROWS, "seeds"]
    changed += ["layers"] if "layers" in KIND_SETTINGS[lineage["kind"]].names() else []
    return {**{name: settings[name] for name in changed if name in settings}, **named}


def _known_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the layers that a release without presets meant by null."""
    if "preset" not in settings and settings.get("layers", ...) is None:
        return {**settings, "layers": "half"}
    return settings


def _train(task: str, lineage: Mapping[str, Any], kind: str, settings: Mapping[str, Any]) -> str:
    request, files = lineage["request"], lineage["files"]
    options = [("--data", _path(files["train"]["filename"])), ("--head", request["head"])]
    options += [
        (f"--{part}-data", _path(files[part]["filename"])) for part in _PARTS[1:] if part in files
    ]
    columns = lineage["dataset"]["columns"]
    options += [
        (option, columns[name])
        for name, (option, default) in _COLUMNS.items()
        if (columns[name] or "") != default
    ]
    if lineage["split_seed"]:
        options.append(("--split-seed", str(lineage["split_seed"])))
    named = {"--kind": kind, "--pooling": request["pooling"]}
    options += [(option, value) for option, value in named.items() if value]
    options += [("--set", f"{name}={write_setting(value)}") for name, value in settings.items()]
    words = [word for option in options for word in option]
    return shlex.join(["adapterd", "train", task, *words])


def write_setting(value: Any) -> str:
    """As `--set NAME=VALUE` reads it: JSON, or a word that is none."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False) if "," in value else value
    return json.dumps(value, ensure_ascii=False)


def _path(filename: str) -> str:
    """A name that begins with a dash would be read as an option."""
    return f"./{filename}" if filename.startswith("-") else filename


def _list_facts(lineage: Mapping[str, Any], base: str) -> list[tuple[str, str]]:
    seeds, software = lineage.get("seeds") or {}, lineage.get("software") or {}
    machine = lineage.get("machine") or {}
    trained = ", ".join(str(seed) for seed in seeds.get("seeds", ()))
    published = "averaged" if seeds.get("averaged") else f"kept: {seeds.get('kept')}"
    facts = [
        ("job", lineage.get("job", "")),
        ("base", base),
        ("seeds", f"{trained} ({published})" if trained else ""),
        ("split seed", str(lineage.get("split_seed", ""))),
        ("training time", _format_seconds(lineage.get("seconds"))),
        ("software", ", ".join(f"{name} {number}" for name, number in software.items())),
        ("machine", _name_machine(machine)),
    ]
    return [(name, value) for name, value in facts if value]


def _describe_speed(lineage: Mapping[str, Any]) -> str | None:
    latency = lineage.get("latency")
    if not latency:
        return None
    return (
        f"One test text takes {latency['p50_ms']:.3g} ms (median of {latency['calls']} calls; "
        f"95 % of them at most {latency['p95_ms']:.3g} ms), and a batch of "
        f"{latency['batch_rows']} gives {latency['rows_per_s']:,.0f} rows a second, on "
        f"{_name_machine(lineage['machine'])}; without network and other callers."
    )


def _name_machine(machine: Mapping[str, Any]) -> str:
    if not machine:
        return ""
    on = "" if machine["device"] == "cpu" else f", {machine['device']}"
    threads = count_of(machine["threads"], "thread")
    return f"{machine['processor']}{on}, {threads}, {machine['dtype']}"


def _format_seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f} s"


def _order(file: tuple[str, Any]) -> int:
    return _PARTS.index(file[0])
