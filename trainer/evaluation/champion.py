"""The answers of the version in production to the same test rows, computed in a slot that does not
serve. Knows slots and the registry; does not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters_registry.errors import RegistryError, UnknownAlias, UnknownTask
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.errors import EngineError, EngineGone
from engine.port import File
from trainer.engine_client import EngineSession
from trainer.evaluation.evaluate import predict, read_predictions
from trainer.heads.encoded import EncodedRow
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example

#: examples as the rows of a head
Encode = Callable[[Sequence[Example], dict[str, Any]], list[EncodedRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The version to beat, if the task has one."""

    session: EngineSession
    registry: Registry
    slot: int
    encode: Encode

    def answers(
        self,
        spec: JobSpec,
        sha256s: Mapping[str, str],
        head: Mapping[str, Any],
        test: Sequence[Example],
    ) -> dict[str, Any] | None:
        """{"version", "digest"} with its "guesses", or with why there are none as "skipped"."""
        try:
            version = self.registry.resolve(spec.tenant, spec.task)
        except (UnknownTask, UnknownAlias):
            return None
        named = {
            "version": version.number,
            "digest": version.digest,
            **_note(version, spec, sha256s),
        }
        if problem := self._problem(version, head):
            return {**named, "skipped": problem}
        try:
            return {**named, "guesses": self._predict(version, test)}
        except EngineGone:
            raise
        except (EngineError, RegistryError) as error:  # what it lacks is no fault of the job's
            return {**named, "skipped": f"Version {version.number} could not answer: {error}"}

    def _problem(self, version: Version, head: Mapping[str, Any]) -> str | None:
        """Why its answers and ours could not be held against the same labels."""
        theirs = version.manifest.semantics["head"]
        which = f"Version {version.number} (production)"
        if version.manifest.base["fingerprint"] != self.session.info.fingerprint:
            return f"{which} is of another base than this server runs."
        if theirs["kind"] != head["kind"]:
            return f"{which} has the head {theirs['kind']}, this one {head['kind']}."
        if sorted(theirs.get("labels", ())) != sorted(head.get("labels", ())):
            return f"{which} has other labels than this one: {_only(theirs, head)}."
        for name in ("multi_label", "input", "no_answer"):
            if theirs.get(name) != head.get(name):
                return f"{which} has {name} {theirs.get(name)!r}, this one {head.get(name)!r}."
        return None

    def _predict(self, version: Version, test: Sequence[Example]) -> list[Any]:
        semantics = dict(version.manifest.semantics)
        head = semantics["head"]
        rows = self.encode(test, head)
        files = [
            File(role=role, path=str(path), sha256=sha256)
            for role, path, sha256 in self.registry.files(version)
        ]
        name = f"{version.digest}/report"
        with self.session.load_adapter(name, semantics, files):
            answers = predict(self.session, rows, head, self.slot, {self.slot: name})
        return read_predictions(self.session, rows, answers, head)


def _note(version: Version, spec: JobSpec, sha256s: Mapping[str, str]) -> dict[str, str]:
    """What flatters it: rows it may have been trained on."""
    lineage = version.lineage
    known = sorted(lineage.get("dataset", {}).get("sha256", {}).values())
    if known == sorted(sha256s.values()) and lineage.get("split_seed") == spec.split_seed:
        return {}
    return {"note": "It was trained on another file or split, so it may have seen some test rows."}


def _only(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    left, right = set(theirs.get("labels", ())), set(ours.get("labels", ()))
    parts = [
        f"{who} only {', '.join(sorted(some)[:5])}"
        for who, some in (
            ("it has", left - right),
            ("this one has", right - left),
        )
        if some
    ]
    return "; ".join(parts)
