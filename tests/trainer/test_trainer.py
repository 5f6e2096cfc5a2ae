"""Jobs from submit to version, over the fake engine and the real registry."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from adapters_registry.errors import BadName, UnknownTask
from engine.errors import BadTraining, Diverged, EngineGone, OutOfMemory
from engine.port import Load, OpenTraining, Predict, Predicted, Result, Save, Saved, Step, Train
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, Bench, jsonl, mood_rows, tag_rows, value_rows
from trainer.errors import (
    BadDataset,
    BadLine,
    BadSetting,
    OneClass,
    StorageFailed,
    TooFewRows,
    UnlearnedLabels,
)
from trainer.jobs.lease import Lease
from trainer.jobs.states import Phase, Status
from trainer.jobs.values import Job
from trainer.pipeline.job_result import comparison_warnings
from trainer.pipeline.job_run import JobRun

MOODS = jsonl(mood_rows())


def run(bench: Bench, content: bytes = MOODS, filename: str = "rows.jsonl", **given: Any) -> Job:
    job = bench.trainer.submit(bench.spec(content, filename, **given))
    assert bench.trainer.run_once()
    return bench.trainer.get(TENANT, job.id)


def fake(bench: Bench) -> FakeEngine:
    assert isinstance(bench.port, FakeEngine)
    return bench.port


def assert_clean(bench: Bench) -> None:
    """Nothing of a job stays in the engine."""
    assert (fake(bench).loaded, fake(bench).placed, fake(bench).training) == ({}, {}, {})
    assert not list((bench.directory / "registry" / "staging").glob("*"))


def assert_unpublished(bench: Bench, job: Job, code: str) -> None:
    assert (job.status, job.error_code) == (Status.FAILED, code)
    assert job.version is None
    with pytest.raises(UnknownTask):
        bench.registry.task(TENANT, "mood")
    assert_clean(bench)


def test_a_job_ends_with_a_version_and_an_honest_report(tmp_path: Any) -> None:
    bench = Bench(directory=tmp_path, report_timeout_s=60)
    job = run(bench)
    assert (job.status, job.phase, job.progress) == (Status.SUCCEEDED, Phase.DONE, 1.0)
    version = bench.registry.resolve(TENANT, "mood")
    assert (job.version, job.digest) == (version.number, version.digest)
    assert job.result["metrics"]["test"]["accuracy"] == 1.0
    assert job.result["baseline"]["test"]["accuracy"] == 1.0
    assert job.result["rows"] == {"train": 43, "dev": 5, "test": 12}
    assert {"task", "trainable_parameters", "seconds", "epochs", "warnings"} <= set(job.result)
    assert_clean(bench)
    bench.close()


def test_a_disk_too_full_for_the_result_file_costs_the_job_no_more_than_that(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bench.spec(MOODS)

    def full(*_: Any) -> None:
        raise StorageFailed("The upload could not be stored: no space left.")

    monkeypatch.setattr(bench.files, "put", full)
    job = bench.trainer.submit(spec)
    bench.trainer.run_once()
    job = bench.trainer.get(TENANT, job.id)
    assert (job.status, job.result["result_files"]) == (Status.SUCCEEDED, [])
    (event,) = bench.trainer.events(TENANT, job.id, codes=["results.failed"], limit=9)
    assert "no space left" in event.message


def test_the_lineage_has_all_that_training_the_same_again_takes(bench: Bench) -> None:
    job = run(bench, split_seed=7, settings={"seed": 3})
    version = bench.registry.resolve(TENANT, "mood")
    record = bench.files.get(TENANT, job.spec.file_id)
    assert version.source == "training"
    assert version.lineage["job"] == job.id
    assert version.lineage["dataset"]["sha256"] == {record.id: record.sha256}
    assert (version.lineage["split_seed"], version.lineage["settings"]["seed"]) == (7, 3)
    assert version.lineage["metrics"] == job.result["metrics"]


def test_values_and_tags_are_trained_too(bench: Bench) -> None:
    values = run(bench, jsonl(value_rows()), task="size", head="regress")
    assert set(values.result["metrics"]["test"]) == {"pearson", "spearman", "rmse", "mae"}
    tags = run(bench, jsonl(tag_rows()), task="names", head="tag")
    assert set(tags.result["metrics"]["test"]) >= {"f1", "precision", "recall"}


def test_conll_and_csv_files_are_trained_from_too(bench: Bench) -> None:
    conll = b"\n\n".join(f"see\tO\nZoe{i}\tB-person".encode() for i in range(40))
    assert run(bench, conll, "a.conll", task="names", head="tag").status is Status.SUCCEEDED
    rows = [f"{row['text']},{row['label']}" for row in mood_rows()]
    csv = "\n".join(["text,label", *rows]).encode()
    assert run(bench, csv, "a.csv").status is Status.SUCCEEDED


def test_the_first_version_is_production_and_a_later_one_only_when_promoted(bench: Bench) -> None:
    run(bench)
    run(bench, settings={"seed": 1, "epochs": 1})
    assert bench.registry.resolve(TENANT, "mood").number == 1
    run(bench, settings={"seed": 2, "epochs": 3}, promote=True)
    assert bench.registry.resolve(TENANT, "mood").number == 3


def test_given_test_rows_are_judged_on_as_they_are(bench: Bench) -> None:
    test = bench.upload(jsonl(mood_rows(20)), "test.jsonl")
    job = run(bench, jsonl(mood_rows(80)), test_file_id=test.id)
    assert job.result["rows"]["test"] == 20
    assert any("left out" in warning for warning in job.result["warnings"])


def test_a_given_test_file_with_a_new_label_is_refused(bench: Bench) -> None:
    test = bench.upload(jsonl([{"text": "hm", "label": "puzzled"}]), "test.jsonl")
    with pytest.raises(UnlearnedLabels, match=r"test\.jsonl .* puzzled"):
        bench.trainer.submit(bench.spec(MOODS, test_file_id=test.id))


def test_a_bad_line_of_a_given_test_file_names_the_file(bench: Bench) -> None:
    test = bench.upload(b"{", "test.jsonl")
    with pytest.raises(BadLine, match=r"test\.jsonl: Line 1"):
        bench.trainer.submit(bench.spec(MOODS, test_file_id=test.id))


@pytest.mark.survival("F2")
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{nonsense", BadLine),
        (b"", BadDataset),
        (jsonl([{"text": f"t{i}", "label": "same"} for i in range(40)]), OneClass),
        (jsonl(mood_rows(10)), TooFewRows),
    ],
)
def test_a_bad_file_is_refused_before_it_queues(
    bench: Bench, content: bytes, error: type[BadDataset]
) -> None:
    with pytest.raises(error):
        bench.trainer.submit(bench.spec(content))
    assert bench.trainer.list(TENANT) == []


def test_a_bad_name_or_setting_is_refused_before_it_queues(bench: Bench) -> None:
    with pytest.raises(BadName):
        bench.trainer.submit(bench.spec(MOODS, task="../x"))
    with pytest.raises(BadSetting):
        bench.trainer.submit(bench.spec(MOODS, kind="magic"))


def test_what_should_be_known_is_warned_about(bench: Bench) -> None:
    rows = [*mood_rows(40), {"text": "YAY yay  happy 0", "label": "sad"}]
    warnings = " ".join(run(bench, jsonl(rows), settings={"learning_rate": 0.5}).result["warnings"])
    for sentence in ("41 rows are few", "1 rows repeat", "different labels", "learning rate 0.5"):
        assert sentence in warnings


def test_a_version_that_is_no_better_than_guessing_says_so() -> None:
    def warnings(head: str, metric: str, reached: float) -> str:
        rivals = {"name": "bag", "majority": {metric: 0.5}, "test": {metric: 0.8}}
        report = {"metrics": {"test": {metric: reached}}, "baseline": rivals}
        return " ".join(comparison_warnings(head, report))

    assert warnings("classify", "accuracy", 0.9) == ""
    assert "no better than the 0.800 of the baseline bag" in warnings("classify", "accuracy", 0.7)
    assert "of answering alike every time" in warnings("classify", "accuracy", 0.5)
    assert "of the baseline" not in warnings("regress", "rmse", 0.7)
    assert "no better than the 0.500" in warnings("regress", "rmse", 0.7)


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_a_training_too_short_to_reach_a_whole_adapter_is_refused(bench: Bench, kind: str) -> None:
    given = {"kind": kind, "settings": {"epochs": 1}}
    with pytest.raises(BadSetting, match="epochs is 1 and batch_rows 32, one step for"):
        bench.trainer.submit(bench.spec(jsonl(mood_rows(24)), **given))
    bench.trainer.submit(bench.spec(jsonl(mood_rows(24)), kind="bias", settings={"epochs": 1}))


def test_a_version_that_writes_no_better_than_a_copy_or_a_ridge_says_so() -> None:
    # of the few numbers among its texts the errors are small
    rivals = {"name": "near", "copy": {"explained": 0.3}, "ridge": {"explained": 0.5, "rmse": 0.9}}
    report = {"metrics": {"test": {"explained": 0.2, "rmse": 0.1}}, "baseline": rivals}
    warnings = comparison_warnings("generate", report)
    assert [sentence.partition("is no")[2] for sentence in warnings] == [
        " better than the 0.300 of copying the input.",
        " better than the 0.500 of ridge regression.",
    ]


@pytest.mark.survival("F5")
def test_a_job_that_diverges_publishes_nothing(bench: Bench) -> None:
    fake(bench).broken = {Train: Diverged()}
    assert_unpublished(bench, run(bench), "diverged")


def test_an_engine_that_refuses_the_settings_fails_the_job_in_its_own_words(bench: Bench) -> None:
    fake(bench).broken = {OpenTraining: BadTraining("rank is 600")}
    job = run(bench)
    assert_unpublished(bench, job, "bad_training")
    assert job.error_message == "rank is 600"


def test_a_version_that_cannot_be_loaded_for_its_proof_is_not_published(bench: Bench) -> None:
    fake(bench).broken = {Load: OutOfMemory()}
    assert_unpublished(bench, run(bench), "out_of_memory")


class Forgetful(FakeEngine):
    """Saves well and answers differently from what was saved."""

    def submit(self, step: Step) -> Future[Result]:
        future = FakeEngine.submit(self, step)
        if not (isinstance(step, Predict) and step.place):
            return future
        answer = future.result()
        assert isinstance(answer, Predicted)
        changed: Future[Result] = Future()
        changed.set_result(
            Predicted(rows=answer.rows[::-1], forward_s=0, num_tokens=0, num_adapters=1)
        )
        return changed


class Frozen(FakeEngine):
    """Trains, and one tensor never moves."""

    def submit(self, step: Step) -> Future[Result]:
        future = FakeEngine.submit(self, step)
        if isinstance(step, Save):
            saved = future.result()
            assert isinstance(saved, Saved)
            future = Future()
            future.set_result(
                Saved(semantics=saved.semantics, files=saved.files, unmoved=["layer.0.lora_B"])
            )
        return future


@pytest.mark.parametrize(
    ("engine", "code"), [(Forgetful, "reload_mismatch"), (Frozen, "tensors_unmoved")]
)
def test_a_version_that_is_not_what_was_trained_is_not_published(
    tmp_path: Any, engine: type[FakeEngine], code: str
) -> None:
    bench = Bench(directory=tmp_path, port=engine())
    assert_unpublished(bench, run(bench), code)
    bench.close()


class Mortal(FakeEngine):
    """Dies at some of its training steps, as a killed process would: everything is gone at once."""

    def __init__(self, deaths: list[int]) -> None:
        super().__init__()
        self.deaths = deaths
        self.trained = 0

    def submit(self, step: Step) -> Future[Result]:
        self.trained += isinstance(step, Train)
        if isinstance(step, Train) and self.trained in self.deaths:
            self.die()
            gone: Future[Result] = Future()
            gone.set_exception(EngineGone())
            return gone
        return FakeEngine.submit(self, step)


def test_a_job_whose_engine_dies_starts_over_once(tmp_path: Any) -> None:
    bench = Bench(directory=tmp_path, port=Mortal([3]))
    job = run(bench)
    assert (job.status, job.attempt) == (Status.QUEUED, 1)
    assert bench.trainer.run_once()
    job = bench.trainer.get(TENANT, job.id)
    assert (job.status, job.attempt, job.version) == (Status.SUCCEEDED, 2, 1)
    assert_clean(bench)
    bench.close()


def test_a_job_whose_engine_dies_again_and_again_before_it_saves_anything_fails(
    tmp_path: Any,
) -> None:
    bench = Bench(directory=tmp_path, port=Mortal(list(range(3, 50))))
    run(bench)
    while bench.trainer.run_once():
        pass
    job = bench.trainer.list(TENANT)[0]
    assert job.attempt <= 3
    assert_unpublished(bench, job, "engine_gone")
    bench.close()


class Slow(FakeEngine):
    """Takes its time for a training step, and says when it has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train):
            self.begun.set()
            time.sleep(0.02)
        return FakeEngine.submit(self, step)


def test_a_running_job_is_cancelled_within_a_few_steps(tmp_path: Any) -> None:
    bench = Bench(directory=tmp_path, port=Slow())
    assert isinstance(bench.port, Slow)
    job = bench.trainer.submit(bench.spec(MOODS, settings={"epochs": 200, "patience": 200}))
    thread = threading.Thread(target=bench.trainer.run_once)
    thread.start()
    bench.port.begun.wait(10)
    bench.trainer.cancel(TENANT, job.id)
    thread.join(10)
    seen = bench.trainer.get(TENANT, job.id)
    assert seen.status is Status.CANCELLED
    assert_clean(bench)
    bench.close()


def test_a_watcher_sees_the_job_move_and_end(tmp_path: Any) -> None:
    bench = Bench(directory=tmp_path, port=Slow())
    job = bench.trainer.submit(bench.spec(MOODS, settings={"epochs": 5, "patience": 9}))
    thread = threading.Thread(target=bench.trainer.run_once)
    thread.start()
    seen = list(bench.trainer.watch(TENANT, job.id))
    thread.join(10)
    shares = [each.progress for each in seen]
    assert shares == sorted(shares)
    assert seen[-1].status is Status.SUCCEEDED
    assert any(each.phase is Phase.TRAINING and each.eta_s for each in seen)
    bench.close()


@pytest.mark.survival("F3")
def test_a_job_that_publishes_twice_has_one_version(bench: Bench) -> None:
    """A worker that lost its lease may still publish: the fence is the job."""
    job = bench.trainer.submit(bench.spec(MOODS))
    first = bench.store.claim("stuck", 1.0)
    assert first is not None
    stop = threading.Event()
    with Lease(bench.store, first, lease_s=1.0, poll_s=9.0, stop=stop) as lease:
        version, _ = JobRun(bench.trainer._tools, first.job, lease).run()
    bench.clock.now += 100
    assert bench.trainer.run_once()
    seen = bench.trainer.get(TENANT, job.id)
    assert (seen.status, seen.version, seen.digest) == (
        Status.SUCCEEDED, version.number, version.digest,
    )  # fmt: skip
    assert len(bench.registry.versions(TENANT, "mood")) == 1
