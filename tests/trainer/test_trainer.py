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
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows, tag_rows, value_rows, watch
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


def run(
    trainer_env: TrainerEnv, content: bytes = MOODS, filename: str = "rows.jsonl", **given: Any
) -> Job:
    job = trainer_env.trainer.submit(trainer_env.spec(content, filename, **given))
    assert trainer_env.trainer.run_once()
    return trainer_env.trainer.get(TENANT, job.id)


def fake(trainer_env: TrainerEnv) -> FakeEngine:
    assert isinstance(trainer_env.port, FakeEngine)
    return trainer_env.port


def assert_clean(trainer_env: TrainerEnv) -> None:
    """Nothing of a job stays in the engine."""
    assert (fake(trainer_env).loaded, fake(trainer_env).placed, fake(trainer_env).training) == (
        {},
        {},
        {},
    )
    assert not list((trainer_env.directory / "staging").glob("*"))


def assert_unpublished(trainer_env: TrainerEnv, job: Job, code: str) -> None:
    assert (job.status, job.error_code) == (Status.FAILED, code)
    assert job.version is None
    with pytest.raises(UnknownTask):
        trainer_env.registry.task(TENANT, "mood")
    assert_clean(trainer_env)


def test_a_job_ends_with_a_version_and_an_honest_report(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, report_timeout_s=60)
    job = run(trainer_env)
    assert (job.status, job.phase, job.progress) == (Status.SUCCEEDED, Phase.DONE, 1.0)
    version = trainer_env.registry.resolve(TENANT, "mood")
    assert (job.version, job.digest) == (version.number, version.digest)
    assert job.result["metrics"]["test"]["accuracy"] == 1.0
    assert job.result["baseline"]["test"]["accuracy"] == 1.0
    assert job.result["rows"] == {"train": 43, "dev": 5, "test": 12}
    assert {"task", "trainable_parameters", "seconds", "epochs", "warnings"} <= set(job.result)
    assert_clean(trainer_env)
    trainer_env.close()


def test_a_disk_too_full_for_the_result_file_costs_the_job_no_more_than_that(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = trainer_env.spec(MOODS)

    def full(*_: Any) -> None:
        raise StorageFailed("The upload could not be stored: no space left.")

    monkeypatch.setattr(trainer_env.files, "put", full)
    job = trainer_env.trainer.submit(spec)
    trainer_env.trainer.run_once()
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.result["result_files"]) == (Status.SUCCEEDED, [])
    (event,) = trainer_env.trainer.events(TENANT, job.id, codes=["results.failed"], limit=9)
    assert "no space left" in event.message


def test_the_lineage_has_all_that_training_the_same_again_takes(trainer_env: TrainerEnv) -> None:
    job = run(trainer_env, split_seed=7, settings={"seed": 3})
    version = trainer_env.registry.resolve(TENANT, "mood")
    record = trainer_env.files.get(TENANT, job.spec.file_id)
    assert version.source == "training"
    assert version.lineage["job"] == job.id
    assert version.lineage["dataset"]["sha256"] == {record.id: record.sha256}
    assert (version.lineage["split_seed"], version.lineage["settings"]["seed"]) == (7, 3)
    assert version.lineage["metrics"] == job.result["metrics"]


def test_values_and_tags_are_trained_too(trainer_env: TrainerEnv) -> None:
    values = run(trainer_env, jsonl(value_rows()), task="size", head="regress")
    assert set(values.result["metrics"]["test"]) == {"pearson", "spearman", "rmse", "mae"}
    tags = run(trainer_env, jsonl(tag_rows()), task="names", head="tag")
    assert set(tags.result["metrics"]["test"]) >= {"f1", "precision", "recall"}


def test_conll_and_csv_files_are_trained_from_too(trainer_env: TrainerEnv) -> None:
    conll = b"\n\n".join(f"see\tO\nZoe{i}\tB-person".encode() for i in range(40))
    assert run(trainer_env, conll, "a.conll", task="names", head="tag").status is Status.SUCCEEDED
    rows = [f"{row['text']},{row['label']}" for row in mood_rows()]
    csv = "\n".join(["text,label", *rows]).encode()
    assert run(trainer_env, csv, "a.csv").status is Status.SUCCEEDED


def test_the_first_version_is_production_and_a_later_one_only_when_promoted(
    trainer_env: TrainerEnv,
) -> None:
    run(trainer_env)
    run(trainer_env, settings={"seed": 1, "epochs": 1})
    assert trainer_env.registry.resolve(TENANT, "mood").number == 1
    run(trainer_env, settings={"seed": 2, "epochs": 3}, promote=True)
    assert trainer_env.registry.resolve(TENANT, "mood").number == 3


def test_given_test_rows_are_judged_on_as_they_are(trainer_env: TrainerEnv) -> None:
    test = trainer_env.upload(jsonl(mood_rows(20)), "test.jsonl")
    job = run(trainer_env, jsonl(mood_rows(80)), test_file_id=test.id)
    assert job.result["rows"]["test"] == 20
    assert any("left out" in warning for warning in job.result["warnings"])


def test_a_given_test_file_with_a_new_label_is_refused(trainer_env: TrainerEnv) -> None:
    test = trainer_env.upload(jsonl([{"text": "hm", "label": "puzzled"}]), "test.jsonl")
    with pytest.raises(UnlearnedLabels, match=r"test\.jsonl .* puzzled"):
        trainer_env.trainer.submit(trainer_env.spec(MOODS, test_file_id=test.id))


def test_a_bad_line_of_a_given_test_file_names_the_file(trainer_env: TrainerEnv) -> None:
    test = trainer_env.upload(b"{", "test.jsonl")
    with pytest.raises(BadLine, match=r"test\.jsonl: Line 1"):
        trainer_env.trainer.submit(trainer_env.spec(MOODS, test_file_id=test.id))


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
    trainer_env: TrainerEnv, content: bytes, error: type[BadDataset]
) -> None:
    with pytest.raises(error):
        trainer_env.trainer.submit(trainer_env.spec(content))
    assert trainer_env.trainer.list(TENANT) == []


def test_a_bad_name_or_setting_is_refused_before_it_queues(trainer_env: TrainerEnv) -> None:
    with pytest.raises(BadName):
        trainer_env.trainer.submit(trainer_env.spec(MOODS, task="../x"))
    with pytest.raises(BadSetting):
        trainer_env.trainer.submit(trainer_env.spec(MOODS, kind="magic"))


def test_what_should_be_known_is_warned_about(trainer_env: TrainerEnv) -> None:
    rows = [*mood_rows(40), {"text": "YAY yay  happy 0", "label": "sad"}]
    warnings = " ".join(
        run(trainer_env, jsonl(rows), settings={"learning_rate": 0.5}).result["warnings"]
    )
    for sentence in (
        "There are only 41 rows",
        "1 row repeats",
        "different labels",
        "learning rate 0.5",
    ):
        assert sentence in warnings


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_a_training_too_short_to_reach_a_whole_adapter_is_refused(
    trainer_env: TrainerEnv, kind: str
) -> None:
    given = {"kind": kind, "settings": {"epochs": 1}}
    with pytest.raises(BadSetting, match="epochs is 1 and batch_rows is 32, which is one step on"):
        trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows(24)), **given))
    trainer_env.trainer.submit(
        trainer_env.spec(jsonl(mood_rows(24)), kind="bias", settings={"epochs": 1})
    )


def test_a_version_that_writes_no_better_than_a_copy_or_a_ridge_says_so() -> None:
    # of the few numbers among its texts the errors are small
    rivals = {"name": "near", "copy": {"explained": 0.3}, "ridge": {"explained": 0.5, "rmse": 0.9}}
    warnings = comparison_warnings("generate", {"explained": 0.2, "rmse": 0.1}, rivals)
    assert [sentence.partition("is no")[2] for sentence in warnings] == [
        " better than the 0.300 of the baseline 'copy of the input'.",
        " better than the 0.500 of the baseline 'ridge'.",
    ]


@pytest.mark.survival("F5")
def test_a_job_that_diverges_publishes_nothing(trainer_env: TrainerEnv) -> None:
    fake(trainer_env).broken = {Train: Diverged()}
    assert_unpublished(trainer_env, run(trainer_env), "diverged")


def test_an_engine_that_refuses_the_settings_fails_the_job_in_its_own_words(
    trainer_env: TrainerEnv,
) -> None:
    fake(trainer_env).broken = {OpenTraining: BadTraining("rank is 600")}
    job = run(trainer_env)
    assert_unpublished(trainer_env, job, "bad_training")
    assert job.error_message == "rank is 600"


def test_a_version_that_cannot_be_loaded_for_its_proof_is_not_published(
    trainer_env: TrainerEnv,
) -> None:
    fake(trainer_env).broken = {Load: OutOfMemory()}
    assert_unpublished(trainer_env, run(trainer_env), "out_of_memory")


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
    trainer_env = TrainerEnv(directory=tmp_path, port=engine())
    assert_unpublished(trainer_env, run(trainer_env), code)
    trainer_env.close()


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
    trainer_env = TrainerEnv(directory=tmp_path, port=Mortal([3]))
    job = run(trainer_env)
    assert (job.status, job.attempt) == (Status.QUEUED, 1)
    assert trainer_env.trainer.run_once()
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.attempt, job.version) == (Status.SUCCEEDED, 2, 1)
    assert_clean(trainer_env)
    trainer_env.close()


def test_a_job_whose_engine_dies_again_and_again_before_it_saves_anything_fails(
    tmp_path: Any,
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Mortal(list(range(3, 50))))
    run(trainer_env)
    while trainer_env.trainer.run_once():
        pass
    job = trainer_env.trainer.list(TENANT)[0]
    assert job.attempt <= 3
    assert_unpublished(trainer_env, job, "engine_gone")
    trainer_env.close()


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
    trainer_env = TrainerEnv(directory=tmp_path, port=Slow())
    assert isinstance(trainer_env.port, Slow)
    job = trainer_env.trainer.submit(
        trainer_env.spec(MOODS, settings={"epochs": 200, "patience": 200})
    )
    thread = threading.Thread(target=trainer_env.trainer.run_once)
    thread.start()
    trainer_env.port.begun.wait(10)
    trainer_env.trainer.cancel(TENANT, job.id)
    thread.join(10)
    seen = trainer_env.trainer.get(TENANT, job.id)
    assert seen.status is Status.CANCELLED
    assert_clean(trainer_env)
    trainer_env.close()


def test_a_watcher_sees_the_job_move_and_end(tmp_path: Any) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Slow())
    job = trainer_env.trainer.submit(trainer_env.spec(MOODS, settings={"epochs": 5, "patience": 9}))
    thread = threading.Thread(target=trainer_env.trainer.run_once)
    thread.start()
    seen = list(watch(trainer_env.trainer, job.id))
    thread.join(10)
    shares = [each.progress for each in seen]
    assert shares == sorted(shares)
    assert seen[-1].status is Status.SUCCEEDED
    assert any(each.phase is Phase.TRAINING and each.eta_s for each in seen)
    trainer_env.close()


@pytest.mark.survival("F3")
def test_a_job_that_publishes_twice_has_one_version(trainer_env: TrainerEnv) -> None:
    """A worker that lost its lease may still publish: the fence is the job."""
    job = trainer_env.trainer.submit(trainer_env.spec(MOODS))
    first = trainer_env.store.claim("stuck", 1.0)
    assert first is not None
    stop = threading.Event()
    with Lease(trainer_env.store, first, lease_s=1.0, poll_s=9.0, stop=stop) as lease:
        version, _ = JobRun(trainer_env.trainer._tools, first.job, lease).run()
    trainer_env.outlast(100.0)
    assert trainer_env.trainer.run_once()
    seen = trainer_env.trainer.get(TENANT, job.id)
    assert (seen.status, seen.version, seen.digest) == (
        Status.SUCCEEDED, version.number, version.digest,
    )  # fmt: skip
    assert len(trainer_env.registry.versions(TENANT, "mood")) == 1
