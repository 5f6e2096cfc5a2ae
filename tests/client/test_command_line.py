"""The `adapterd` command against a whole server over the fake engine: output, JSON, exit codes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.settings_option import parse_settings
from adapterd.errors import BadSetting
from tests.client.commands import Run, command_runner


@pytest.fixture
def run(
    environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return command_runner(monkeypatch, capsys)


#: settings with which the toy rows are learned
STEEP = ("--set", "learning_rate=0.5", "--set", "epochs=20", "--set", "patience=20")


@pytest.fixture
def task(run: Run, rows: Path) -> str:
    if run("tasks", "shared", "--json").code:
        trained = run("train", "shared", "--data", rows, "--head", "classify", *STEEP, "--json")
        assert trained.code == 0, trained.err
    return "shared"


def test_train_ends_with_the_report_as_one_line_of_json(run: Run, rows: Path) -> None:
    ran = run("train", "cli", "--data", rows, "--head", "classify", *STEEP, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    names = ["task", "version", "digest", "metrics", "baseline", "trainable_parameters", "seconds"]
    assert list(report)[:7] == names
    assert (report["task"], report["version"]) == ("cli", 1)
    assert 0 <= report["metrics"]["test"]["accuracy"] <= 1
    assert ran.out.count("\n") == 1


def test_train_shows_people_a_table_beside_the_baseline(run: Run, rows: Path) -> None:
    ran = run("train", "people", "--data", rows, "--head", "classify", *STEEP)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].startswith(("Ship: ", "Cannot tell: "))
    assert "people@1" in ran.out
    assert "accuracy" in ran.out
    assert "people: " in ran.err


def test_train_exits_7_where_the_verdict_is_do_not_ship(run: Run, rows: Path) -> None:
    few_steps = ("--set", "epochs=2", "--set", "batch_rows=32")
    ran = run("train", "poor", "--data", rows, "--head", "classify", *few_steps)
    assert ran.code == ExitCode.DO_NOT_SHIP
    assert "Do not ship: Its accuracy of 0.500 is no better than the 0.500 of the maj" in ran.out
    assert "does not become production" in " ".join(ran.out.split())
    assert run("tasks", "poor", "--json").json()["aliases"] == {}
    shown = run("adapters", "show", "poor@1").out
    assert "Do not ship" in shown
    assert len(shown.splitlines()) < 30
    assert run("predict", "poor", "a text").code == ExitCode.NOT_FOUND
    assert run("predict", "poor@1", "a text").code == ExitCode.OK


def test_a_report_is_opened_by_a_link_that_needs_no_key(
    run: Run, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: not asked.append(url))
    ran = run("adapters", "report", task, "--open")
    assert ran.code == 0, ran.err
    assert asked[0] in ran.err
    page = httpx.get(asked[0])
    assert (page.status_code, f"<h1>{task}@1</h1>" in page.text) == (200, True)


def test_a_report_is_shown_written_as_a_page_and_given_as_json(
    run: Run, task: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    ran = run("adapters", "report", f"{task}@1", "--html", page)
    assert ran.code == 0, ran.err
    assert f"{task}@1" in ran.out
    assert page.read_text().startswith("<!doctype html>")
    body = run("adapters", "report", task, "--json").json()
    assert (body["task"], body["version"]) == (task, 1)
    assert body["report"]["headline"]["metric"] == "accuracy"


def test_a_page_that_cannot_be_written_is_named(run: Run, task: str, tmp_path: Path) -> None:
    ran = run("adapters", "report", task, "--html", tmp_path / "gone" / "report.html")
    assert ran.code == ExitCode.USAGE
    assert "report.html cannot be written: No such file or directory. [bad_setting]" in ran.err


def test_a_later_version_serves_only_with_promote(run: Run, task: str, tmp_path: Path) -> None:
    run("adapters", "export", f"{task}@1", tmp_path)
    register = ("adapters", "register", "gated", tmp_path, "--head", "classify", "--labels")
    for labels in ("bad,good", "good,bad"):
        run(*register, labels)
    assert run("tasks", "gated", "--json").json()["aliases"] == {"production": 1}
    run(*register, "no,yes", "--promote")
    assert run("tasks", "gated", "--json").json()["aliases"] == {"production": 3}


def test_predict_prints_one_answer_per_text(run: Run, task: str) -> None:
    body = run("predict", task, "a good thing", "a bad thing", "--json").json()
    assert [output["label"] for output in body["outputs"]] == ["good", "bad"]
    assert set(body) == {"task", "version", "digest", "outputs", "timing"}
    assert "good" in run("predict", task, "a good thing").out


def test_predict_composes_adapters_by_ref_and_weight(run: Run, task: str) -> None:
    body = run("predict", task, "a good thing", "--compose", f"{task}@1=0.5", "--json").json()
    assert [(part["task"], part["weight"]) for part in body["composed"]] == [(task, 0.5)]
    assert run("predict", task, "a good thing", "--compose", f"{task}=half").code == 2


def test_predict_says_that_a_task_that_sorts_writes_nothing(run: Run, task: str) -> None:
    refused = run("predict", task, "a good thing", "--max-tokens", "5")
    assert refused.code == 4
    assert "max_tokens" in refused.err


def test_predict_reads_lines_of_stdin(
    run: Run, task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "texts").write_text("a good thing\na bad thing\n")
    with (tmp_path / "texts").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert len(run("predict", task, "-", "--json").json()["outputs"]) == 2


def test_a_line_of_stdin_that_is_not_utf_8_has_an_error_of_its_own(
    run: Run, task: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "texts").write_bytes(b"a caf\xe9\n")
    with (tmp_path / "texts").open(encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ran = run("predict", task, "-")
    assert ran.code == ExitCode.REFUSED
    assert "line 1: The row cannot be sent: it is not valid UTF-8." in ran.err


def test_an_empty_second_text_makes_a_pair_all_the_same(run: Run, task: str) -> None:
    ran = run("predict", task, "a good thing", "--pair", "", "--json")
    assert ran.code == ExitCode.REFUSED
    assert ran.json()["outputs"][0]["error"]["code"] == "empty_input"


def test_predict_prints_the_other_answers_and_exits_4_when_one_text_fails(
    run: Run, task: str
) -> None:
    ran = run("predict", task, "a good thing", "", "--json")
    assert ran.code == ExitCode.REFUSED
    assert ran.json()["outputs"][0]["label"] == "good"
    assert "input 1" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("predict", "nothing", "text"), ExitCode.NOT_FOUND),
        (("predict", "Not A Name", "text"), ExitCode.REFUSED),
        (("adapters", "show", "nothing@1"), ExitCode.NOT_FOUND),
        (("jobs", "show", "job-nothing"), ExitCode.NOT_FOUND),
        (("adapters", "promote", "nothing"), ExitCode.USAGE),
        (("adapters", "register", "t", "/nowhere"), ExitCode.REFUSED),
        (("predict",), ExitCode.USAGE),
        (("no-such-command",), ExitCode.USAGE),
    ],
)
def test_each_fault_has_its_exit_code(run: Run, arguments: tuple[str, ...], code: int) -> None:
    ran = run(*arguments)
    assert ran.code == code
    assert ran.err


def test_an_error_in_json_names_code_message_and_request(run: Run) -> None:
    error = json.loads(run("predict", "nothing", "text", "--json").err)["error"]
    assert error["code"] == "unknown_task"
    assert error["request_id"]
    assert "nothing" in error["message"]


def test_a_server_that_is_not_there_exits_5(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_URL", "http://127.0.0.1:9")
    assert run("tasks").code == ExitCode.UNAVAILABLE


def test_versions_are_listed_shown_exported_and_registered(
    run: Run, task: str, tmp_path: Path
) -> None:
    assert [v["version"] for v in run("adapters", "list", task, "--json").json()] == [1]
    assert f"{task}@1" in run("adapters", "show", f"{task}@1").out
    files = run("adapters", "export", f"{task}@1", tmp_path / "out", "--json").json()["files"]
    assert all(Path(file).is_file() for file in files)
    options = ("--head", "classify", "--labels", "bad,good", "--promote", "--json")
    version = run("adapters", "register", "registered", tmp_path / "out", *options).json()
    assert version["labels"] == ["bad", "good"]
    assert version["aliases"] == ["production"]


def test_an_alias_moves_and_moves_back(run: Run, task: str, tmp_path: Path) -> None:
    run("adapters", "export", f"{task}@1", tmp_path)
    for labels in ("bad,good", "good,bad"):
        run("adapters", "register", "moving", tmp_path, "--head", "classify", "--labels", labels)
    assert "version 2" in run("adapters", "promote", "moving@2").out
    assert run("adapters", "promote", "moving", 1, "--expected", 1).code == ExitCode.REFUSED
    assert run("adapters", "rollback", "moving", "--json").json()["version"] == 1
    assert len(run("adapters", "history", "moving", "--json").json()) == 3
    assert run("adapters", "delete", "moving", 1).code == ExitCode.REFUSED
    assert run("adapters", "delete", "moving@2", "--json").json() == {
        "deleted": {"task": "moving", "version": 2}
    }
    assert run("adapters", "delete", "moving").code == ExitCode.USAGE
    assert run("adapters", "delete", "moving", "--all").code == ExitCode.OK
    assert run("tasks", "moving").code == ExitCode.NOT_FOUND


def test_a_file_of_texts_that_is_no_text_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photo.txt").write_bytes(b"\xff\xd8\xff")
    ran = run("bench", "shared", "--texts-file", tmp_path / "photo.txt")
    assert "is not UTF-8 text" in ran.err
    assert ran.code == ExitCode.USAGE


def test_an_export_that_cannot_be_written_names_the_path(
    run: Run, task: str, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").mkdir()
    ran = run("adapters", "export", f"{task}@1", tmp_path)
    assert ran.code == ExitCode.REFUSED
    assert "adapter_config.json cannot be written: Is a directory. [refused]" in ran.err


def test_the_deleted_version_is_named(run: Run, task: str, tmp_path: Path) -> None:
    run("adapters", "export", f"{task}@1", tmp_path)
    for labels in ("bad,good", "good,bad"):
        run("adapters", "register", "leaving", tmp_path, "--head", "classify", "--labels", labels)
    assert "pass the task alone" in run("adapters", "delete", "leaving@2", "--all").err
    assert run("adapters", "delete", "leaving", 2).out == "deleted leaving@2\n"
    assert run("adapters", "delete", "leaving", "--all").out == "deleted leaving\n"


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "shared"),
        ("compare", "shared", "shared", "--data"),
        ("adapters", "list", "--made-from"),
        ("bench", "shared", "--texts-file"),
    ],
    ids=" ".join,
)
def test_what_is_no_file_is_named_with_the_way_out(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert "is a URL; download the file" in run(*command, "https://example.org/rows.csv").err
    assert "is a folder; pass one of the files in it" in run(*command, tmp_path).err
    assert "There is no file gone.csv" in run(*command, tmp_path / "gone.csv").err


def test_an_alias_is_deleted_and_production_only_with_yes(
    run: Run, task: str, tmp_path: Path
) -> None:
    run("adapters", "export", f"{task}@1", tmp_path)
    run("adapters", "register", "named", tmp_path, "--head", "classify", "--labels", "bad,good")
    run("adapters", "promote", "named@1", "--alias", "canary")
    assert run("adapters", "unalias", "named", "canary", "--expected", 2).code == ExitCode.REFUSED
    assert "named@canary" in run("adapters", "unalias", "named", "canary").out
    history = run("adapters", "history", "named", "--alias", "canary").out.splitlines()
    assert history[-1].split("\t")[1:4] == ["delete", "1", ""]
    assert run("adapters", "unalias", "named", "production").code == ExitCode.USAGE
    assert run("adapters", "unalias", "named", "production", "--yes").code == ExitCode.OK
    assert run("predict", "named", "a text").code == ExitCode.NOT_FOUND


def test_training_or_registering_the_same_again_is_said(
    run: Run, task: str, rows: Path, tmp_path: Path
) -> None:
    said = f"identical to {task}@1: nothing new was published"
    again = run("train", task, "--data", rows, "--head", "classify", *STEEP)
    assert said in again.out
    job = run("jobs", "list", "--limit", 1, "--json").json()[0]
    assert job["result"]["already_published"] is True
    assert "nothing new was published" in run("jobs", "events", job["id"]).out
    run("adapters", "export", f"{task}@1", tmp_path)
    register = ("adapters", "register", task, tmp_path)
    assert said in run(*register).out


@pytest.mark.survival("F7")
def test_the_versions_that_a_file_went_into_are_listed(run: Run, task: str, rows: Path) -> None:
    found = run("adapters", "list", "--made-from", rows, "--json").json()
    assert (task, 1) in [(version["task"], version["version"]) for version in found]
    assert run("adapters", "list", task, "--made-from", rows).code == ExitCode.USAGE
    assert run("adapters", "list").code == ExitCode.USAGE


def test_jobs_are_listed_shown_and_watched(run: Run, task: str) -> None:
    jobs = run("jobs", "list", "--limit", 1, "--json").json()
    assert len(jobs) == 1
    assert jobs[0]["id"] in run("jobs", "show", jobs[0]["id"]).out
    assert run("jobs", "watch", jobs[0]["id"], "--json").out.splitlines()
    assert run("jobs", "cancel", jobs[0]["id"]).code == ExitCode.REFUSED


def test_a_job_is_named_by_the_start_of_its_id(run: Run, task: str) -> None:
    job = run("jobs", "list", "--limit", 1, "--json").json()[0]["id"]
    for start in (job[:20], job.removeprefix("job-")[:20]):
        assert run("jobs", "show", start, "--json").json()["id"] == job
    assert run("jobs", "events", job[:20], "--code", "job.queued").out.count("\n") == 1


def test_a_start_that_several_jobs_or_none_have_is_refused(run: Run, task: str, rows: Path) -> None:
    run("train", "second", "--data", rows, "--head", "classify", *STEEP)
    several = run("jobs", "cancel", "job-")
    assert several.code == ExitCode.REFUSED
    assert all(job["id"] in several.err for job in run("jobs", "list", "--json").json()[:5])
    none = run("jobs", "show", "job-x")
    assert none.code == ExitCode.NOT_FOUND
    assert "`adapterd jobs list` lists them" in none.err


def test_a_detached_training_prints_the_id_of_its_job_alone(run: Run, rows: Path) -> None:
    options = ("--data", rows, "--head", "classify", "--set", "epochs=200", "--set", "patience=200")
    detached = run("train", "detached", *options, "--detach")
    assert detached.code == 0, detached.err
    job = detached.out.strip()
    assert f"`adapterd jobs watch {job}` follows it" in detached.err
    paused = run("jobs", "pause", job)
    assert f"{job} is paused" in paused.out
    assert f"{job} is cancelled" in run("jobs", "cancel", job).out
    assert run("train", "detached", *options, "--detach", "--json").json()["task"] == "detached"


def test_a_file_is_stored_once_under_a_name_and_trained_on_by_it(run: Run, rows: Path) -> None:
    stored = run("files", "upload", rows, "--name", "reviews")
    file_id = stored.out.strip()
    assert "`adapterd train TASK --data dataset:reviews` trains on it" in stored.err
    again = run("files", "upload", rows, "--name", "reviews")
    assert (again.out.strip(), "was stored already" in again.err) == (file_id, True)
    trained = run("train", "by-name", "--data", "dataset:reviews", "--head", "classify", *STEEP)
    assert trained.code == 0, trained.err
    job = run("jobs", "list", "--limit", 1, "--json").json()[0]
    assert job["task"] == "by-name"
    for name in ("reviews", file_id[:20], file_id.removeprefix("file-")[:20]):
        shown = run("files", "show", name, "--json").json()
        assert (shown["id"], "by-name@1" in shown["versions"]) == (file_id, True)
    assert run("files", "list", "--name", "reviews").out.splitlines()[1].startswith(file_id)
    assert run("files", "delete", "reviews").code == ExitCode.OK
    assert run("files", "show", "reviews").code == ExitCode.NOT_FOUND
    unknown = run("train", "by-name", "--data", "dataset:reviews", "--head", "classify")
    assert unknown.code == ExitCode.NOT_FOUND
    assert "No file is stored under the name 'reviews'" in unknown.err


def test_a_dry_run_and_a_refused_training_leave_no_file_behind(run: Run, tmp_path: Path) -> None:
    def stored_ids() -> list[str]:
        return [file["id"] for file in run("files", "list", "--json").json()]

    path = tmp_path / "other.csv"
    path.write_text("text,label\n" + "".join(f"number {n},{n % 2}\n" for n in range(40)))
    before, train = stored_ids(), ("train", "none", "--data", path, "--head", "classify")
    assert run(*train, "--dry-run").code == 0
    assert run(*train, "--label-column", "missing").code == ExitCode.REFUSED
    assert stored_ids() == before


def test_a_stored_file_is_checked_on_the_server_only(run: Run, rows: Path) -> None:
    run("files", "upload", rows, "--name", "checked")
    check = ("check", "dataset:checked", "--head", "classify")
    assert "pass --server to check it there" in run(*check).err
    assert run(*check, "--server").code == ExitCode.OK
    assert run("files", "show", "checked").code == ExitCode.OK


def test_keys_are_made_listed_and_revoked_without_a_server(run: Run, tmp_path: Path) -> None:
    file = ("--keys-file", tmp_path / "keys.jsonl", "--json")
    made = run("keys", "create", "--tenant", "acme", "--role", "use", *file).json()
    assert made["key"] not in (tmp_path / "keys.jsonl").read_text()
    assert [key["id"] for key in run("keys", "list", *file).json()] == [made["id"]]
    assert "key" not in run("keys", "list", *file).json()[0]
    assert run("keys", "revoke", made["id"], *file).code == ExitCode.OK
    assert run("keys", "list", *file).json() == []
    assert run("keys", "revoke", made["id"], *file).code == ExitCode.REFUSED


def test_without_a_key_file_keys_are_made_listed_and_revoked_in_the_database(
    run: Run, tmp_path: Path
) -> None:
    place = ("--data-dir", tmp_path / "own-data", "--json")
    made = run("keys", "create", "--tenant", "acme", "--expires-in", "1", *place).json()
    [listed] = run("keys", "list", *place).json()
    assert (listed["id"], listed["tenant"]) == (made["id"], "acme")
    assert listed["expires_at"] > listed["created_at"]
    assert run("keys", "revoke", made["id"], *place).code == ExitCode.OK
    assert run("keys", "list", *place).json() == []
    assert run("keys", "revoke", made["id"], *place).code == ExitCode.REFUSED


def test_the_audit_log_is_listed_and_verified_without_a_server(run: Run, tmp_path: Path) -> None:
    place = ("--data-dir", tmp_path / "own-data")
    made = run("keys", "create", "--tenant", "acme", "--json", *place).json()
    heads = tmp_path / "heads.json"
    heads.write_text(run("audit", "head", "--json", *place).out)
    run("keys", "revoke", made["id"], *place)
    assert [line.split("\t")[2] for line in run("audit", "list", *place).out.splitlines()] == [
        "action", "key.create", "key.revoke",
    ]  # fmt: skip
    rows = run("audit", "list", "--json", *place).out.splitlines()
    digest = hashlib.sha256(rows[0].encode()).hexdigest()
    assert json.loads(rows[1])["previous"] == digest
    assert json.loads(rows[1])["actor"]["kind"] == "operator"
    assert run("audit", "verify", "--heads", heads, *place).code == ExitCode.OK
    with closing(sqlite3.connect(tmp_path / "own-data/adapterd.db")) as database, database:
        database.execute("DELETE FROM audit_event WHERE sequence = 2")
    ran = run("audit", "verify", *place)
    assert ran.code == ExitCode.FAILED
    assert "tenant acme, row 2: the head of the chain is row 2, but row 1 is the last" in ran.out


def test_a_key_is_the_only_line_on_stdout(run: Run, tmp_path: Path) -> None:
    ran = run("keys", "create", "--keys-file", tmp_path / "keys.jsonl")
    assert ran.out.startswith("adk_")
    assert ran.out.count("\n") == 1


def test_doctor_finds_the_running_server(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checks = {check["name"]: check for check in run("doctor", "--json").json()}
    assert checks["server"]["verdict"] == "ok"
    assert checks["data_dir"]["verdict"] == "ok"


def test_doctor_names_a_setting_that_nothing_reads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADAPTERD_DATADIR", "typo")
    ran = run("doctor")
    assert ran.code == ExitCode.FAILED
    assert "ADAPTERD_DATADIR" in ran.out


def test_serve_refuses_an_unknown_setting_by_name(run: Run) -> None:
    ran = run("serve", "--set", "colour=blue")
    assert ran.code == ExitCode.USAGE
    assert "colour" in ran.err


def test_serve_refuses_an_open_address_without_keys(run: Run) -> None:
    ran = run("serve", "--host", "0.0.0.0")
    assert ran.code == ExitCode.USAGE
    assert "keys_file" in ran.err


def test_bench_answers_in_rows_per_second(run: Run, task: str) -> None:
    ran = run("bench", task, "--seconds", "0.3", "--callers", 2, "--texts-per-call", 2, "--json")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert report["failed"] == 0
    assert report["rows"] == 2 * report["calls"] > 0


def test_settings_read_as_plain_values() -> None:
    pairs = ["rank=16", "learning_rate=1e-3", "rslora=true", "targets=query,value", "layers=4,5"]
    assert parse_settings(pairs) == {
        "rank": 16,
        "learning_rate": 0.001,
        "rslora": True,
        "targets": ["query", "value"],
        "layers": [4, 5],
    }
    with pytest.raises(BadSetting, match="NAME=VALUE"):
        parse_settings(["rank"])


def test_a_version_is_shown_with_its_lineage(run: Run, task: str) -> None:
    shown = run("adapters", "show", f"{task}@1", "--lineage").out
    assert f"{task}@1, lineage 1 of" in shown
    for name in ("published", "source", "base", "seeds", "train rows"):
        assert name in shown
    lineage, *_ = run("adapters", "show", f"{task}@1", "--lineage", "--json").json()
    assert lineage["source"] == "training"


def test_a_file_is_deleted_with_its_versions_only_when_confirmed(
    run: Run, tmp_path: Path, rows: Path
) -> None:
    own = tmp_path / "erased.csv"
    own.write_text(rows.read_text().replace("number 7", "number seven"))
    run("train", "erased", "--data", own, "--head", "classify", "--set", "epochs=1")
    [file] = [f for f in run("files", "list", "--json").json() if f["filename"] == "erased.csv"]
    told = run("files", "delete", file["id"], "--with-versions")
    assert "erased@1" in told.out
    assert "nothing was changed; pass --yes" in told.err
    done = run("files", "delete", file["id"], "--with-versions", "--yes", "--json").json()
    assert (done["erased"], done["versions"]) == (True, ["erased@1"])
    assert run("adapters", "show", "erased@1").code == ExitCode.NOT_FOUND
