"""The canonical manifest of a version and the digest that is its identity.

Owns what is inside the digest: only what changes outputs. Knows nothing of where bytes lie;
`semantics` is opaque JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapters_registry.errors import BadManifest

SCHEMA = 1


def canonical_json(value: object) -> bytes:
    """One spelling per value: sorted keys, no spaces, ASCII, no NaN.

    BadManifest on anything that is not plain JSON.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadManifest(f"the manifest is not plain JSON: {error}") from error
    return text.encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One file of a version: its role, its original name, its content."""

    role: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)  # no slots: the digest is computed once and kept
class Manifest:
    """What a version is.

    `base` is {"fingerprint", "name"}; the name is for people and outside the digest.

    """

    kind: str
    base: Mapping[str, str]
    files: tuple[ManifestFile, ...]
    semantics: Mapping[str, Any]
    schema: int = SCHEMA

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(canonical_json(self._identity())).hexdigest()

    @property
    def num_bytes(self) -> int:
        return sum(file.size for file in self.files)

    def document(self) -> dict[str, Any]:
        """The whole manifest as JSON: the identity, plus the names that are for people."""
        files = [
            {"role": file.role, "path": file.path, "sha256": file.sha256, "size": file.size}
            for file in sorted(self.files, key=lambda file: file.role)
        ]
        base = {"fingerprint": self.base["fingerprint"], "name": self.base.get("name", "")}
        return {**self._identity(), "base": base, "files": files}

    def _identity(self) -> dict[str, Any]:
        files = [
            {"role": file.role, "sha256": file.sha256, "size": file.size}
            for file in sorted(self.files, key=lambda file: file.role)
        ]
        return {
            "schema": self.schema,
            "kind": self.kind,
            "base": {"fingerprint": self.base["fingerprint"]},
            "files": files,
            "semantics": dict(self.semantics),
        }

    @classmethod
    def parse(cls, text: str | bytes) -> Manifest:
        """The manifest of a document that `document` wrote, or BadManifest."""
        try:
            document = json.loads(text)
            if document["schema"] != SCHEMA:
                raise BadManifest(
                    f"manifest schema {document['schema']!r}, this release reads {SCHEMA}"
                )
            return cls(
                kind=document["kind"],
                base=document["base"],
                files=tuple(ManifestFile(**file) for file in document["files"]),
                semantics=document["semantics"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise BadManifest(f"the manifest cannot be read: {error!r}") from error
