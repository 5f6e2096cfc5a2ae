"""Where a version comes from: what a job leaves in the lineage, and what the page says of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from adapters_registry.audit.actor import SYSTEM, Actor, ActorKind, acting, current_actor
from tests.trainer.build import TENANT, Clock, TrainerEnv, jsonl, mood_rows
from tests.trainer.report.sample import whole_report
from trainer.dataset.split import Split
from trainer.evaluation import latency
from trainer.pipeline.code_version import describe_code, read_commit
from trainer.pipeline.provenance import (
    describe_splits,
    hash_settings,
    list_software,
    name_processor,
)
from trainer.readers.example import Example
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
    assert known["parent"] is None
    assert known["base"] == {"name": "fake", "fingerprint": "f" * 64}
    assert known["numerics"] == {"dtype": "float32", "device": "cpu", "exact": False}
    assert known["code"] == describe_code()
    assert known["machine"] == {
        "processor": name_processor(), "device": "cpu", "threads": 1, "dtype": "float32",
    }  # fmt: skip


def test_the_lineage_has_digests_of_the_settings_and_of_the_rows_of_each_part(
    known: dict[str, Any],
) -> None:
    assert known["settings_sha256"] == hash_settings(known["settings"])
    splits = known["dataset"]["splits"]
    assert {part: each["rows"] for part, each in splits.items()} == known["rows"]
    assert len({each["sha256"] for each in splits.values()}) == 3


def test_the_digest_of_rows_depends_on_what_they_say_and_not_on_their_order() -> None:
    rows = [Example(line=n, text=f"text {n}", label="a") for n in range(3)]
    turned = [Example(line=9 - n, text=f"text {n}", label="a") for n in reversed(range(3))]
    other = [*rows[:2], Example(line=2, text="text 2", label="b")]
    digests = [
        describe_splits(Split(train=part, dev=[], test=[]))["train"]["sha256"]
        for part in (rows, turned, other)
    ]
    assert digests[0] == digests[1] != digests[2]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("place", ["detached", "branch", "packed", "worktree"])
def test_the_commit_of_a_checkout_is_read_wherever_it_stands(tmp_path: Path, place: str) -> None:
    git, root = tmp_path / ".git", tmp_path
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text(COMMIT if place == "detached" else "ref: refs/heads/main\n")
    if place in ("branch", "worktree"):
        (git / "refs/heads/main").write_text(f"{COMMIT}\n")
    if place == "packed":
        (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/heads/main\n")
    if place == "worktree":
        (git / "worktrees/w").mkdir(parents=True)
        (git / "worktrees/w/HEAD").write_text("ref: refs/heads/main\n")
        (git / "worktrees/w/commondir").write_text("../..\n")
        root = tmp_path / "w"
        root.mkdir()
        (root / ".git").write_text(f"gitdir: {git / 'worktrees/w'}\n")
    assert read_commit(root) == COMMIT


def test_a_folder_that_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert read_commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert read_commit(tmp_path) is None
    (tmp_path / ".git/HEAD").write_text("nonsense")
    assert read_commit(tmp_path) is None


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


def test_who_submitted_a_job_is_in_its_lineage_and_in_the_audit_log(
    trainer_env: TrainerEnv,
) -> None:
    ann = Actor(kind=ActorKind.CALLER, name="k1", tenant=TENANT, request_id="r1")
    with acting(ann):
        job = trainer_env.trainer.submit(trainer_env.spec(ROWS, settings={"epochs": 2}))
    assert trainer_env.trainer.run_once()
    [lineage] = trainer_env.registry.lineages(TENANT, "mood@1")
    worker = Actor.parse(lineage.actor)
    assert (worker.kind, worker.on_behalf_of) == (ActorKind.WORKER, ann)
    events = trainer_env.registry.audit.list(TENANT)
    assert {event.change.action: event.actor.on_behalf_of for event in events} == {
        "file.upload": ann, "job.submit": None, "job.start": None, "version.publish": ann,
        "job.finish": ann,
    }  # fmt: skip
    assert {e.change.target for e in events if e.change.action.startswith("job.")} == {job.id}
    assert current_actor() == SYSTEM
