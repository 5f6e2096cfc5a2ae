"""From a trained slot to a published version: save, validate, reload, compare the answers, publish.

Knows slots, files and the registry; neither jobs nor datasets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters_registry.manifest import Manifest, ManifestFile
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.port import File, Inspect, Inspected, Save, Saved
from trainer.engine_client import EngineSession
from trainer.errors import ReloadMismatch, TensorsUnmoved
from trainer.evaluation.evaluate import predict
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDraft:
    """What is to be published, under which name, and the evaluation it must reproduce."""

    tenant: str
    task: str
    promote: bool
    #: whether a first version is kept from becoming production
    hold: bool
    #: a job publishes once, however often it runs
    fence: str
    lineage: Mapping[str, Any]
    head: dict[str, Any]
    rows: Sequence[EncodedRow]
    answers: Sequence[Answer]
    #: documents that are kept with the version
    beside: Mapping[str, bytes]


class Publisher:
    """Publishes what a training slot holds. `proof_slot` is a slot that no serving batch uses;
    `confirm` is called just before the version is written and raises where another worker has the
    job by then.
    """

    def __init__(
        self,
        session: EngineSession,
        registry: Registry,
        proof_slot: int,
        confirm: Callable[[], None],
    ) -> None:
        self._session = session
        self._registry = registry
        self._proof_slot = proof_slot
        self._confirm = confirm

    def publish(self, slot: int, draft: AdapterDraft) -> Version:
        """Raises TensorsUnmoved or ReloadMismatch; nothing is published then."""
        with self._registry.stage() as staging:
            save = Save(slot=slot, directory=str(staging.path), head=draft.head)
            saved = self._session.call(save, Saved)
            if saved.unmoved:
                raise TensorsUnmoved(saved.unmoved)
            self._registry.check(staging)
            inspected = self._inspect(staging.path, saved)
            self._prove(staging.path, inspected, draft)
            return self._registry.publish(
                tenant=draft.tenant,
                task=draft.task,
                staging=staging.path,
                kind=inspected.semantics["kind"],
                base=self._base(),
                files=inspected.files,
                semantics=inspected.semantics,
                lineage=draft.lineage,
                source="training",
                num_parameters=inspected.num_parameters,
                promote=draft.promote,
                hold=draft.hold,
                fence=draft.fence,
                beside=draft.beside,
                confirm=self._confirm,
            ).version

    def _inspect(self, directory: Path, saved: Saved) -> Inspected:
        head = saved.semantics["head"]
        inspected = self._session.call(Inspect(directory=str(directory), head=head), Inspected)
        if inspected.semantics["head"] != head or inspected.files != saved.files:
            raise ReloadMismatch(
                "The saved files were read back with other settings or names than were saved; "
                "nothing was published."
            )
        return inspected

    def _base(self) -> dict[str, str]:
        info = self._session.info
        return {"fingerprint": info.fingerprint, "name": info.base}

    def _prove(self, directory: Path, inspected: Inspected, draft: AdapterDraft) -> None:
        """The files, read back as serving reads them, answer every test row bit for bit as the
        trained slot did.
        """
        manifest = self._manifest(directory, inspected)
        files = [
            File(role=f.role, path=str(directory / f.path), sha256=f.sha256) for f in manifest.files
        ]
        name, slot = f"{manifest.digest}/proof/{draft.fence}", self._proof_slot
        with self._session.load_adapter(name, inspected.semantics, files):
            answers = predict(self._session, draft.rows, draft.head, slot, {slot: name})
        num_wrong = sum(not _same(a, b) for a, b in zip(answers, draft.answers, strict=True))
        if num_wrong:
            raise ReloadMismatch(
                f"{num_wrong} of {len(answers)} test rows got another answer after saving "
                "and reloading; nothing was published."
            )

    def _manifest(self, directory: Path, inspected: Inspected) -> Manifest:
        files = tuple(
            _manifest_file(directory, role, name) for role, name in sorted(inspected.files.items())
        )
        return Manifest(
            kind=inspected.semantics["kind"],
            base=self._base(),
            files=files,
            semantics=inspected.semantics,
        )


def _same(left: Answer, right: Answer) -> bool:
    if isinstance(left, list) or isinstance(right, list):
        return left == right
    return left.shape == right.shape and bool(
        np.array_equal(left.view(np.uint32), right.view(np.uint32))
    )


def _manifest_file(directory: Path, role: str, name: str) -> ManifestFile:
    content = (directory / name).read_bytes()
    return ManifestFile(
        role=role, path=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content)
    )
