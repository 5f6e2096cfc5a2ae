"""Prints how a version came to be, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapterd.terminal import render
from adapterd.terminal.actor import name_actor
from adapterd.terminal.table import Cell, format_time
from adapterd.terminal.verdict import format_verdict
from adapterd.values import Lineage


def print_lineages(ref: str, lineages: Sequence[Lineage]) -> None:
    """One block for each; `--json` has everything."""
    for lineage in lineages:
        title = f"{ref}, lineage {lineage.sequence} of {len(lineages)}"
        render.print_facts(title, _list_facts(lineage))


def _list_facts(lineage: Lineage) -> dict[str, object]:
    document = lineage.document
    facts = {
        "published": f"{format_time(lineage.at)} by {name_actor(lineage.actor)}",
        "request": lineage.actor.get("request_id"),
        "source": lineage.source,
        "job": document.get("job"),
        "note": document.get("note") or None,
        "parent": _name_parent(document),
        "base": _name_base(document.get("base")),
        "numerics": _join(document.get("numerics")),
        "code": _join(document.get("code")),
        "software": _join(document.get("software")),
        "settings": _name_digest(document.get("settings_sha256")),
        "seeds": _list_seeds(document),
        "verdict": format_verdict(document.get("report")),
    }
    return {**facts, **_list_data(document)}


def _list_data(document: Mapping[str, Any]) -> dict[str, object]:
    """The files, and the rows of each part of the split."""
    files = {
        f"{part} file": Cell(
            shown=f"{file['filename']} {render.shorten(file['sha256'])}",
            exact=f"{file['filename']} {file['sha256']}",
        )
        for part, file in (document.get("files") or {}).items()
        if isinstance(file, Mapping) and "filename" in file
    }
    splits = (document.get("dataset") or {}).get("splits") or {}
    rows = {
        f"{part} rows": Cell(
            shown=f"{split['rows']} {render.shorten(split['sha256'])}",
            exact=f"{split['rows']} {split['sha256']}",
        )
        for part, split in splits.items()
    }
    return {**files, **rows}


def _name_parent(document: Mapping[str, Any]) -> str | None:
    """None of a version that was registered: nobody knows what it was trained from."""
    if "parent" not in document:
        return None
    parent = document["parent"]
    return f"{parent['task']}@{parent['version']}" if parent else "none: trained from the base"


def _name_base(base: Mapping[str, Any] | None) -> Cell | None:
    if not base:
        return None
    name, fingerprint = base.get("name", ""), str(base.get("fingerprint", ""))
    return Cell(shown=f"{name} {render.shorten(fingerprint)}", exact=f"{name} {fingerprint}")


def _name_digest(sha256: str | None) -> Cell | None:
    return None if sha256 is None else Cell(shown=render.shorten(sha256), exact=sha256)


def _list_seeds(document: Mapping[str, Any]) -> str | None:
    seeds = (document.get("seeds") or {}).get("seeds") or ()
    if not seeds:
        return None
    return f"{', '.join(map(str, seeds))}; of the split {document.get('split_seed')}"


def _join(facts: Mapping[str, Any] | None) -> str | None:
    if not facts:
        return None
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
