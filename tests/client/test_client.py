"""The sync client against a whole server over the fake engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterd import Client, errors
from adapterd.values import Classification, Prediction, RowError, TaskError

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture(scope="module")
def _trained() -> dict[str, bool]:
    return {}


@pytest.fixture
def task(client: Client, rows: Path, _trained: dict[str, bool]) -> str:
    """A task with one version, trained once for the module."""
    if not _trained:
        client.train("mood", rows, head="classify", settings={"epochs": 2, "learning_rate": 0.1})
        _trained["mood"] = True
    return "mood"


def test_training_uploads_waits_and_gives_the_job_with_its_report(
    client: Client, rows: Path
) -> None:
    seen = []
    job = client.train("reported", rows, on_job=seen.append, head="classify")
    assert job.status == "succeeded"
    assert job.version == 1
    assert "accuracy" in job.result["metrics"]["test"]
    assert seen[-1].status == "succeeded"
    # a protobuf Struct carries doubles only; whole ones are counts again
    assert isinstance(job.result["trainable_parameters"], int)


def test_progress_is_shown_where_it_is_asked_for(
    client: Client, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client.train("silent", rows, head="classify", settings={"epochs": 1, "seeds": 1})
    assert capsys.readouterr().err == ""
    job = next(job for job in client.jobs() if job.task == "silent")
    client.wait(job.id, progress=True)
    assert "silent: succeeded" in capsys.readouterr().err


def test_no_proxy_stands_between_a_client_and_a_server_on_its_own_machine(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        for each in (name, name.upper()):
            monkeypatch.setenv(each, "http://127.0.0.1:9")  # nothing listens there
    for each in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(each, raising=False)
    with Client() as client:
        assert client.predict(task, "a good thing").version == 1
        assert client.info()["base"] == "fake"


def test_a_composition_names_what_acted(client: Client, task: str) -> None:
    compose = [{"ref": task, "weight": 0.5}]
    prediction = client.predict(task, "a good thing", compose=compose)
    (part,) = prediction.composed
    assert (part.task, part.version, part.weight) == (task, 1, 0.5)
    assert part.digest == prediction.digest
    assert client.predict(task, "a good thing").composed == ()


def test_a_prediction_names_its_version_and_gives_one_output_per_text(
    client: Client, task: str
) -> None:
    prediction = client.predict(task, ["a good thing", "a bad thing"])
    assert (prediction.task, prediction.version) == (task, 1)
    assert prediction.digest == client.version(f"{task}@1").digest
    assert [type(output) for output in prediction.outputs] == [Classification, Classification]


def test_one_text_and_one_pair_are_calls_of_one_input(client: Client, task: str) -> None:
    assert len(client.predict(task, "a good thing").outputs) == 1
    (output,) = client.predict(task, ("a good thing", "a bad thing")).outputs
    assert isinstance(output, RowError)
    assert output.message == "The task takes one text; the input is a pair (text and text_pair)."


def test_raw_scores_are_not_probabilities(client: Client, task: str) -> None:
    raw = client.predict(task, "a good thing", raw_scores=True).outputs[0]
    assert isinstance(raw, Classification)
    assert sum(raw.scores.values()) != pytest.approx(1.0)


def test_an_empty_text_fails_alone(client: Client, task: str) -> None:
    prediction = client.predict(task, ["a good thing", ""])
    assert isinstance(prediction.outputs[0], Classification)
    assert isinstance(prediction.outputs[1], RowError)
    with pytest.raises(errors.RowFailed, match="input 1"):
        prediction.raise_for_errors()


def test_many_tasks_answer_one_text_in_one_call(client: Client, task: str) -> None:
    both = client.predict_many([task, f"{task}@1"], ["good", "bad"])
    assert both.raise_for_tasks() == both.results
    for result in both.results:
        assert isinstance(result, Prediction)
        assert result.outputs == client.predict(task, ["good", "bad"]).outputs


def test_a_task_that_is_not_there_fails_alone(client: Client, task: str) -> None:
    found = client.predict_many([task, "nothing"], "good")
    assert found.results[1] == TaskError(
        task="nothing", code="unknown_task", message=found.results[1].message
    )
    with pytest.raises(errors.TaskFailed, match="nothing") as raised:
        found.raise_for_tasks()
    assert raised.value.problem == "unknown_task"


def test_one_name_where_a_list_of_tasks_belongs_is_refused(client: Client) -> None:
    with pytest.raises(errors.Refused, match="one task"):
        client.predict_many("mood", "good")


@pytest.mark.parametrize("ref", ["nothing", "mood@99", "mood@canary"])
def test_a_ref_to_nothing_is_not_found(client: Client, task: str, ref: str) -> None:
    with pytest.raises(errors.NotFound) as raised:
        client.predict(ref, "text")
    assert raised.value.problem.startswith("unknown_")
    assert raised.value.request_id


def test_a_name_that_is_none_is_refused(client: Client) -> None:
    with pytest.raises(errors.Refused):
        client.predict("Not A Name", "text")


def test_tasks_are_listed_with_their_aliases(client: Client, task: str) -> None:
    listed = {found.task: found for found in client.tasks()}
    assert listed[task].aliases["production"] == 1
    assert client.task(task) == listed[task]


def test_an_exported_version_registers_as_another_task_and_answers_the_same(
    client: Client, task: str, tmp_path: Path
) -> None:
    paths = client.export(f"{task}@1", tmp_path / "out")
    assert {path.name for path in paths} >= {"adapter_config.json", "adapter_model.safetensors"}
    head = client.version(f"{task}@1")
    copy = client.register("copied", tmp_path / "out", head=head.head, labels=list(head.labels))
    assert copy.version == 1
    first = client.predict(task, "a good thing", raw_scores=True).outputs
    assert client.predict("copied", "a good thing", raw_scores=True).outputs == first


def test_promote_moves_an_alias_and_rollback_moves_it_back(
    client: Client, task: str, tmp_path: Path
) -> None:
    client.export(f"{task}@1", tmp_path)
    for labels in (["bad", "good"], ["good", "bad"]):
        client.register("moving", tmp_path, head="classify", labels=labels)
    assert client.predict("moving", "a thing").version == 1
    client.promote("moving", 2)
    assert client.predict("moving", "a thing").version == 2
    with pytest.raises(errors.Conflict):
        client.promote("moving", 1, expected_version=1)
    assert client.rollback("moving").version == 1
    moves = [event.version for event in client.alias_history("moving")]
    assert sorted(moves) == [1, 1, 2]
    client.delete_version("moving", 2)
    assert [version.version for version in client.versions("moving")] == [1]
    client.delete_task("moving")
    with pytest.raises(errors.NotFound):
        client.task("moving")


def test_a_file_that_is_no_dataset_is_refused_before_it_queues(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "one_class.csv"
    path.write_text("text,label\n" + "same,a\n" * 30)
    with pytest.raises(errors.Refused) as raised:
        client.train("mood", path, head="classify")
    assert raised.value.problem


def test_a_file_that_is_not_there_is_refused_without_a_call(client: Client) -> None:
    with pytest.raises(errors.Refused, match="because there is no folder /nowhere"):
        client.upload("/nowhere/rows.csv")


def test_jobs_are_listed_and_an_ended_one_cannot_be_cancelled(client: Client, task: str) -> None:
    job = next(job for job in client.jobs() if job.task == task)
    assert client.job(job.id).has_ended
    with pytest.raises(errors.Conflict):
        client.cancel_job(job.id)


def test_the_server_says_what_it_is(client: Client) -> None:
    assert client.info()["version"]


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(url="http://127.0.0.1:9", grpc_target="127.0.0.1:9") as nobody:
        with pytest.raises(errors.Unavailable):
            nobody.tasks().__next__()
        with pytest.raises(errors.Unavailable):
            nobody.info()


@pytest.mark.parametrize("megabytes", [18, 70])
def test_a_call_that_is_too_large_is_not_an_overload(
    client: Client, task: str, megabytes: int
) -> None:
    """The server's own refusal, and gRPC's for the largest: neither is worth another try."""
    with pytest.raises(errors.TooLarge) as refused:
        client.predict(task, ["x" * 1_000_000] * megabytes)
    assert not refused.value.retryable


def test_the_lineages_of_a_version_say_how_it_came_to_be(client: Client, task: str) -> None:
    [lineage] = client.lineages(f"{task}@1")
    assert (lineage.sequence, lineage.source) == (1, "training")
    assert lineage.document["dataset"]["sha256"]
    assert lineage.actor["kind"] == "worker"


def test_the_audit_events_of_a_tenant_come_in_order_through_all_pages(
    client: Client, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = client.audit_events()
    assert whole[0].action == "file.upload"
    assert [event.sequence for event in whole] == list(range(1, len(whole) + 1))
    monkeypatch.setattr("adapterd.calls.calls.PAGE_ROWS", 2)
    assert client.audit_events() == whole
    assert client.audit_events(limit=3) == whole[-3:]
    assert {event.task for event in client.audit_events(task=task)} == {task}


def test_a_file_is_erased_with_the_versions_made_from_it(
    client: Client, tmp_path: Path, rows: Path
) -> None:
    own = tmp_path / "own.csv"
    own.write_text(rows.read_text().replace("number 7", "number seven"))
    job = client.train("erased", own, head="classify", settings={"epochs": 1, "seeds": 1})
    [file] = [file for file in client.files() if file.filename == "own.csv"]
    told = client.erase_file(file.id, dry_run=True)
    assert (told.files, told.versions, told.jobs) == ([file.id], ["erased@1"], [job.id])
    assert client.version("erased@1")
    assert client.erase_file(file.id) == told
    with pytest.raises(errors.NotFound):
        client.version("erased@1")


def test_a_tenant_is_erased_only_by_its_own_name(client: Client, task: str) -> None:
    assert f"{task}@1" in client.erase_tenant(dry_run=True).versions
    with pytest.raises(errors.AdapterdError, match="pass the name of the tenant"):
        client.erase_tenant("acme")
    assert client.version(f"{task}@1")
