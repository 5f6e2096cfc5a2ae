from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters_registry.errors import BadManifest
from adapters_registry.manifest import Manifest, ManifestFile, canonical_json

MANIFEST = Manifest(
    kind="lora",
    base={"fingerprint": "f", "name": "toy"},
    files=(
        ManifestFile(role="config", path="adapter_config.json", sha256="a" * 64, size=1),
        ManifestFile(role="adapter", path="adapter_model.safetensors", sha256="b" * 64, size=2),
    ),
    semantics={"rank": 8, "scaling": 0.5},
)


def test_the_digest_of_schema_1_never_changes() -> None:
    assert MANIFEST.digest == "3264db4f4cbd53e712b29bffab35774e54c13cfee51d5765f9e69fc501696add"


def test_the_digest_does_not_depend_on_the_order_of_files_or_keys() -> None:
    other = replace(MANIFEST, files=MANIFEST.files[::-1], semantics={"scaling": 0.5, "rank": 8})
    assert other.digest == MANIFEST.digest


def test_names_for_people_are_outside_the_digest() -> None:
    renamed = tuple(replace(file, path=f"other-{file.role}") for file in MANIFEST.files)
    other = replace(MANIFEST, base={"fingerprint": "f", "name": "another"}, files=renamed)
    assert other.digest == MANIFEST.digest


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "bottleneck"},
        {"base": {"fingerprint": "g", "name": "toy"}},
        {"files": MANIFEST.files[:1]},
        {"semantics": {"rank": 8, "scaling": 0.25}},
    ],
)
def test_whatever_changes_outputs_changes_the_digest(change: dict[str, object]) -> None:
    assert replace(MANIFEST, **change).digest != MANIFEST.digest  # type: ignore[arg-type]


def test_a_manifest_reads_back_as_it_was_written() -> None:
    parsed = Manifest.parse(canonical_json(MANIFEST.document()))
    assert parsed.digest == MANIFEST.digest
    assert parsed.base == MANIFEST.base
    assert set(parsed.files) == set(MANIFEST.files)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', "null"])
def test_a_broken_manifest_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(text)


@pytest.mark.survival("G7")
def test_a_manifest_of_a_later_schema_is_refused_by_name() -> None:
    with pytest.raises(BadManifest, match="schema 2, this release reads 1"):
        Manifest.parse(json.dumps(MANIFEST.document() | {"schema": 2}))


def test_semantics_that_are_not_json_are_refused() -> None:
    with pytest.raises(BadManifest):
        _ = replace(MANIFEST, semantics={"rank": float("nan")}).digest
