"""Where a version comes from: what a job leaves in the lineage, and what the page says of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.build import TENANT, Clock, TrainerEnv, jsonl, mood_rows
from tests.trainer.report.sample import whole_report
from trainer.evaluation import latency
from trainer.pipeline.provenance import list_software, name_processor
from trainer.report.page.page import render_page
from trainer.report.page.provenance import Provenance, describe_provenance, write_setting

ROWS = jsonl(mood_rows())


@pytest.fixture
def known(trainer_env: TrainerEnv) -> dict[str, Any]:
    """The lineage of a version."""
    settings = {"epochs": 2, "rank": 4}
    job = trainer_env.trainer.submit(trainer_env.spec(ROWS, settings=settings))
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).version == 1
    return dict(trainer_env.registry.resolve(TENANT, "mood").lineage)


def test_the_lineage_names_files_software_machine_and_what_was_asked_for(
    known: dict[str, Any],
) -> None:
    assert known["files"] == {
        "train": {"filename": "rows.jsonl", "sha256": hashlib.sha256(ROWS).hexdigest()}
    }
    assert known["software"] == list_software()
    assert {"python", "adapterd", "torch", "transformers"} <= set(list_software())
    assert known["machine"] == {
        "processor": name_processor(), "device": "cpu", "threads": 1, "dtype": "float32",
    }  # fmt: skip


def test_a_text_alone_and_a_batch_are_timed_within_a_second(known: dict[str, Any]) -> None:
    found: Any = known["latency"]
    assert 0 < found["p50_ms"] <= found["p95_ms"] < 1000
    assert found["rows_per_s"] > 0


def timed_calls(monkeypatch: pytest.MonkeyPatch, seconds: float, num: int) -> list[int]:
    """How many rows each call has, where a call takes this long."""
    asked: list[int] = []
    monkeypatch.setattr(latency, "predict", lambda _, rows, *given: asked.append(len(rows)))
    clock = Clock()

    def tick() -> float:
        clock.now += seconds / 2
        return clock.now

    session: Any = None
    rows: Any = list(range(num))
    latency.measure_latency(session, rows, {"kind": "classify"}, 1, tick)
    return asked


def test_a_slow_engine_is_asked_for_three_texts_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timed_calls(monkeypatch, seconds=2.0, num=500) == [1, 1, 1]


def test_a_fast_engine_is_asked_for_fifty_texts_and_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timed_calls(monkeypatch, seconds=0.001, num=500) == [1] * 51 + [32]


def test_texts_that_are_generated_are_not_timed() -> None:
    session: Any = None
    rows: Any = [1]
    assert latency.measure_latency(session, rows, {"kind": "generate"}, 1) is None


def test_the_page_says_where_the_version_comes_from(known: dict[str, Any]) -> None:
    origin = describe_provenance("mood", 1, known, "a base (fingerprint abc)")
    assert dict(origin.changed).keys() >= {"epochs", "rank"}
    assert "learning_rate" in origin.settings
    shown = " ".join(render_page("mood@1", [], {"error": "none"}, origin).split())
    assert f'<td class="text">{known["job"]}</td>' in shown
    assert 'rows.jsonl<span class="small">sha256 ' in shown
    assert "<code>rank=4</code>" in shown
    assert "<summary>All settings</summary>" in shown
    assert "a base (fingerprint abc)" in shown


@pytest.mark.parametrize("decision", ["ship", "do_not_ship"])
def test_the_command_that_promotes_repeats_a_verdict_against_it(
    known: dict[str, Any], decision: str
) -> None:
    report = whole_report()
    report["verdict"]["decision"] = decision
    shown = render_page("mood@1", [], report, describe_provenance("mood", 1, known, "a base"))
    assert ("advises against promoting it" in shown) is (decision == "do_not_ship")


def test_the_speed_names_the_machine(known: dict[str, Any]) -> None:
    origin = describe_provenance("mood", 1, known, "a base")
    assert f"rows a second, on {name_processor()}, 1 thread, float32" in str(origin.speed)


def test_a_lineage_of_an_earlier_release_is_shown_as_far_as_it_goes() -> None:
    earlier = {"job": "job-1", "settings": {}, "split_seed": 0, "kind": "lora"}
    origin = describe_provenance("mood", 1, earlier, "a base")
    assert [command.purpose for command in origin.commands] == ["Promote it"]
    assert (origin.speed, list(origin.files)) == (None, [])
    assert "job-1" in render_page("mood@1", [], {"error": "none"}, origin)


def test_a_page_without_origin_has_no_such_section() -> None:
    assert "How it was made" not in render_page("mood@1", [], {"error": "none"}, Provenance())


@pytest.mark.parametrize(
    ("value", "written"),
    [("cosine", "cosine"), ("true", '"true"'), ("a,b", '"a,b"'), (["a"], '["a"]'), (None, "null")],
)
def test_a_setting_is_written_as_the_command_reads_it(value: object, written: str) -> None:
    assert write_setting(value) == written


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert name_processor(told) == "Some CPU @ 2 GHz"
    assert name_processor(tmp_path / "none")
