"""What refuses a job is a finding too, and all of it is told at once."""

from __future__ import annotations

import json

import pytest

from tests.trainer.build import TENANT, TrainerEnv, jsonl
from tests.trainer.data_checks.looking import finding, look, moods
from trainer.errors import BadLine


def test_every_line_that_cannot_be_used_is_counted_and_some_are_shown() -> None:
    rows = moods()
    for index in (3, 4, 10, 11, 12, 13):
        rows[index] = {"text": "", "label": "sad"}
    found = finding("bad_line", rows)
    assert (found.severity, found.count) == ("error", 6)
    assert [sample.line for sample in found.samples] == [4, 5, 11, 12, 13]
    assert found.message == "Line 4: text is empty. 5 more lines are refused too."


def test_a_file_of_another_shape_is_given_up_on_after_a_thousand_lines() -> None:
    found = finding("missing_column", [{"body": "x"}] * 2000)
    assert found.count == 1000


def test_nan_is_refused_with_its_line_whether_it_is_a_label_or_a_text() -> None:
    rows = moods()
    rows[1]["label"], rows[2]["text"] = float("nan"), float("nan")
    found = finding("bad_line", rows)
    assert [sample.text for sample in found.samples] == [
        "Line 2: label is NaN.", "Line 3: text must be text, not nan.",
    ]  # fmt: skip


def test_a_typo_is_told_beside_the_error_that_it_causes() -> None:
    examination = look([*moods(), {"text": "x", "label": "gald"}])
    assert [f.code for f in examination.findings][:1] == ["too_few_rows"]
    assert "label_typo" in {f.code for f in examination.findings}


@pytest.mark.parametrize("part", ["dev", "test"])
def test_labels_of_a_judging_file_only_are_an_error(part: str) -> None:
    examination = look(moods(), **{part: [{"text": "hm", "label": "puzzled"}]})  # type: ignore[arg-type]
    assert examination.error is not None
    assert examination.error.code == "unlearned_labels"


@pytest.mark.parametrize("rows", [[{"text": "one", "label": "a"}], [{"text": "", "label": "a"}]])
def test_a_file_of_one_row_is_refused(rows: list[dict[str, str]]) -> None:
    assert look(rows).error is not None


def test_a_findings_json_is_json() -> None:
    for found in look([*moods(), {"text": "x", "label": "gald"}]).findings:
        assert json.loads(json.dumps(found.to_json()))["severity"] in ("error", "warning", "info")


def test_submitting_raises_the_first_error(trainer_env: TrainerEnv) -> None:
    rows = moods()
    rows[3]["text"] = ""
    with pytest.raises(BadLine, match="Line 4"):
        trainer_env.trainer.submit(trainer_env.spec(jsonl(rows)))


def test_findings_are_events_and_part_of_the_result(trainer_env: TrainerEnv) -> None:
    rows = [*moods(), {**moods()[0], "label": "sad"}]
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(rows)))
    assert trainer_env.trainer.run_once()
    events = {e.code: e for e in trainer_env.trainer.events(TENANT, job.id, after=None, limit=100)}
    told = events["data.conflicting_duplicates"]
    assert (told.level, told.data["count"]) == ("warn", 1)
    result = trainer_env.trainer.get(TENANT, job.id).result
    assert "conflicting_duplicates" in {found["code"] for found in result["findings"]}
