"""The head of an adapter directory from elsewhere, whatever its files say."""

from __future__ import annotations

from typing import Any

import pytest

from engine.adapter_formats.head_config import completed_head
from engine.errors import BadAdapter

TWO, ONE = 2, 1


def test_what_the_caller_gives_wins_over_the_manifest() -> None:
    manifest = {"semantics": {"head": {"kind": "classify", "labels": ["a", "b"]}}}
    head = completed_head({"labels": ["no", "yes"]}, manifest, {}, TWO)
    assert head == {"kind": "classify", "labels": ["no", "yes"]}


def test_what_the_caller_leaves_empty_is_the_manifest_s() -> None:
    manifest = {"semantics": {"head": {"kind": "classify", "labels": ["a", "b"]}}}
    head = completed_head({"labels": [], "kind": None}, manifest, {}, TWO)
    assert head == {"kind": "classify", "labels": ["a", "b"]}


@pytest.mark.parametrize(
    ("task", "outputs", "kind"),
    [("SEQ_CLS", TWO, "classify"), ("SEQ_CLS", ONE, "regress"), ("TOKEN_CLS", TWO, "tag")],
)
def test_peft_s_task_type_and_the_outputs_imply_the_kind(
    task: str, outputs: int, kind: str
) -> None:
    assert completed_head(None, {}, {"task_type": task}, outputs)["kind"] == kind


def test_labels_nobody_names_are_numbered() -> None:
    head = completed_head(None, {}, {"task_type": "SEQ_CLS"}, TWO)
    assert head["labels"] == ["LABEL_0", "LABEL_1"]


@pytest.mark.parametrize("task", [None, "IMAGE_CLS", ["SEQ_CLS"], {"a": 1}])
def test_a_task_type_that_says_no_head_is_refused(task: Any) -> None:
    with pytest.raises(BadAdapter, match="say which head it has"):
        completed_head(None, {}, {"task_type": task}, TWO)


@pytest.mark.parametrize(
    "manifest", [{"semantics": ["head"]}, {"semantics": "head"}, {"semantics": {"head": 3}}]
)
def test_a_manifest_of_another_shape_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(BadAdapter, match="it must be an object"):
        completed_head(None, manifest, {}, TWO)


def test_another_number_of_labels_than_outputs_names_both() -> None:
    with pytest.raises(BadAdapter, match="2 outputs; 3 labels are given"):
        completed_head({"kind": "classify", "labels": ["a", "b", "c"]}, {}, {}, TWO)


def test_an_adapter_without_a_head_is_refused() -> None:
    with pytest.raises(BadAdapter, match="brings no head weights"):
        completed_head({"kind": "classify"}, {}, {}, None)
