"""`adapterd check`, in this process and by a server."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.client.test_command_line import Run, run

__all__ = ["run"]


@pytest.fixture
def typos(tmp_path: Path) -> Path:
    rows = [{"text": f"text {i} of {i}", "label": ["glad", "sad"][i % 2]} for i in range(80)]
    rows += [{"text": f"x{i}", "label": "gald"} for i in range(3)]
    path = tmp_path / "typos.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("where", [(), ("--server",)])
def test_findings_are_a_table_for_people(run: Run, typos: Path, where: tuple[str, ...]) -> None:
    ran = run("check", typos, "--head", "classify", *where)
    assert ran.code == 0, ran.err
    for word in (
        "label_typo",
        "warning",
        "'glad'",
        "line 81: x0",
        "Ready to train: `lora`",
    ):
        assert word in ran.out


@pytest.mark.parametrize("where", [(), ("--server",)])
def test_a_file_that_training_refuses_ends_with_1(
    run: Run, tmp_path: Path, where: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,b\n")
    ran = run("check", path, "--head", "classify", "--json", *where)
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found["ok"] is False
    assert [each["code"] for each in found["findings"]][:1] == ["too_few_rows"]


def test_the_server_keeps_nothing_that_was_only_looked_at(run: Run, typos: Path) -> None:
    from adapterd.settings import ClientSettings

    url = ClientSettings.load().url
    before = httpx.get(f"{url}/v1/files", trust_env=False).json()["data"]
    run("check", typos, "--head", "classify", "--server")
    assert httpx.get(f"{url}/v1/files", trust_env=False).json()["data"] == before


def test_the_server_also_knows_its_tokenizer(run: Run, typos: Path) -> None:
    assert "row_tokens" in run("check", typos, "--head", "classify", "--server").out
    assert "row_tokens" not in run("check", typos, "--head", "classify").out


def test_an_unknown_head_is_a_mistake_of_usage(run: Run, typos: Path) -> None:
    ran = run("check", typos, "--head", "guess")
    assert (ran.code, "head is 'guess'" in ran.err) == (2, True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what people pass as data."""
    (tmp_path / "mail.csv").write_text("text,label\na,b\n")
    (tmp_path / "mail.xlsx").write_bytes(b"PK\x03\x04..xl/workbook.xml")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "sheets").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("https://example.org/x.csv", "https://example.org/x.csv is a URL; download the file and"),
        ("sheets", "sheets is a folder; pass one of the files in it."),
        ("mail.cvs", "; did you mean mail.csv?"),
        ("none/rows.csv", "There is no file rows.csv because there is no folder none."),
        ("other", "There is no file other in "),
    ],
)
@pytest.mark.parametrize(
    "command", ["check", "train t --data", "train t --data mail.csv --dev-data"]
)
def test_what_is_no_file_is_answered_with_the_way_out(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    ran = run(*command.split(), name, "--head", "classify")
    assert (ran.code, said in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err


@pytest.mark.parametrize(
    ("name", "said"), [("mail.xlsx", "mail.xlsx is an Excel workbook; "), ("empty.csv", "is empty")]
)
@pytest.mark.parametrize("where", [(), ("--server",)])
def test_a_file_that_is_no_table_is_a_finding(
    run: Run, folder: Path, where: tuple[str, ...], name: str, said: str
) -> None:
    ran = run("check", folder / name, "--head", "classify", "--json", *where)
    assert (ran.code, said in ran.json()["findings"][0]["message"]) == (1, True), ran.err


def test_a_sentence_is_not_repeated_as_its_own_sample(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"text {n} of all,{'ab'[n % 2]}\n" for n in range(60))
    (tmp_path / "mail.csv").write_text(f"Text,label\n{rows}")
    ran = run("check", tmp_path / "mail.csv", "--head", "classify")
    assert ran.out.count("The column 'Text' is used as 'text'") == 1


def test_train_does_not_upload_what_holds_no_rows(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTERD_URL", "http://127.0.0.1:9")  # nothing answers there
    ran = run("train", "t", "--data", folder / "mail.xlsx", "--head", "classify")
    assert (ran.code, "mail.xlsx is an Excel workbook" in ran.err) == (4, True), ran.err


def test_train_says_that_a_file_is_empty(run: Run, folder: Path) -> None:
    ran = run("train", "t", "--data", folder / "empty.csv", "--head", "classify")
    assert (ran.code, "empty.csv is empty" in ran.err) == (4, True), ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--kind loar", "kind is 'loar'; did you mean lora? It must be one of bias, "),
        ("--kind bias --set rank=4", "rank is no setting of the kind bias, which has"),
        ("--pooling middle", "pooling is 'middle'; it must be one of"),
        ("--set epoch=3", "There is no setting 'epoch'; did you mean epochs?"),
        ("--set unfreeze=9", "unfreeze is 9; epochs is 5, and at least one epoch must train all"),
        ('--set class_weights={"gad":2}', "class_weights names 'gad', which is no label of the"),
    ],
)
@pytest.mark.parametrize("command", ["check", "check --server", "train mood --dry-run --data"])
def test_a_setting_that_training_refuses_is_refused_by_the_check_too(
    run: Run, typos: Path, command: str, options: str, said: str
) -> None:
    ran = run(*command.split(), typos, "--head", "classify", *options.split())
    assert (ran.code, said in ran.err) == (2, True), ran.err


def test_a_check_without_a_base_names_what_depends_on_one(run: Run, typos: Path) -> None:
    ran = run("check", typos, "--head", "classify", "--set", "layers=99")
    assert (
        ran.code,
        "the rows were not tokenized, and layers could not be checked" in ran.out,
    ) == (
        0,
        True,
    )
    assert run("check", typos, "--head", "classify", "--set", "layers=99", "--server").code == 2


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    """Rows of which nothing is to be said but that they are few to choose an epoch on."""
    rows = [{"text": f"text {i} of {i}", "label": ["glad", "sad"][i % 2]} for i in range(80)]
    path = tmp_path / "moods.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


_RATE = (
    "The learning rate 1e-05 belongs to full fine-tuning (1e-05 to 5e-05); lora usually learns "
    "with 0.0001 to 0.01, and would hardly learn. Leave learning_rate out to train with"
)
_SLOW = ("--head", "classify", "--set", "learning_rate=1e-5", "--set", "seeds=1")


@pytest.mark.parametrize("command", ["check", "check --server", "train mood --dry-run --data"])
def test_a_learning_rate_of_the_wrong_order_is_a_finding_before_training(
    run: Run, moods: Path, command: str
) -> None:
    ran = run(*command.split(), moods, *_SLOW, "--json")
    assert ran.code == 0, ran.err
    found = {each["code"]: each for each in ran.json()["findings"]}
    assert found["unusual_learning_rate"]["message"].startswith(_RATE)


def test_a_dry_run_prints_all_findings_and_the_kind_that_few_rows_train(
    run: Run, tmp_path: Path, moods: Path
) -> None:
    few = tmp_path / "thirty.jsonl"
    few.write_text("\n".join(moods.read_text().splitlines()[:30]))
    ran = run("train", "mood", "--data", few, "--head", "classify", "--dry-run")
    assert ran.code == 0, ran.err
    for said in (
        "few_shot_recipe",
        "There are 30 rows, fewer than 50, so a head over the frozen base is trained instead of a "
        "lora adapter: kind head_only, epochs 60, patience 10. Pass a kind explicitly to train an "
        "adapter anyway.",
        "class_balance",
    ):
        assert said in ran.out


def test_warnings_are_printed_while_a_job_runs_and_at_its_end(run: Run, moods: Path) -> None:
    trained = run("train", "slow", "--data", moods, *_SLOW, "--set", "epochs=1")
    assert trained.code in (0, 7), trained.err
    assert _RATE in trained.out
    assert f"warning: {_RATE}" in trained.err
    job = run("jobs", "list", "--json").json()[0]
    events = [
        json.loads(line) for line in run("jobs", "events", job["id"], "--json").out.splitlines()
    ]
    warnings = {each["message"] for each in events if each["level"] == "warn"}
    assert warnings >= {*job["result"]["warnings"]}
    watched = run("jobs", "watch", job["id"])
    assert (watched.code, _RATE in watched.out, f"warning: {_RATE}" in watched.err) == (
        trained.code,
        True,
        True,
    )
