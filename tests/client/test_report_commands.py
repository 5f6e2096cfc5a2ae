"""The commands on a report's page can be copied: they parse, and ask for the same job."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapterd.cli import train as train_command
from adapterd.cli.app import build_command
from adapterd.errors import BadSetting
from tests.client.commands import command_runner
from trainer.jobs.values import JobSpec
from trainer.pipeline.provenance import describe_request
from trainer.report.page.provenance import list_commands
from trainer.settings.settings import TrainingSettings

SETTINGS: dict[str, Any] = {
    "epochs": 5, "learning_rate": 1e-5, "class_weights": {"it's spam": 5.0, "ham": 1.0},
    "schedule": "cosine", "targets": ["query", "value"], "seed": 7,
    "search": {"trials": 3, "space": {"rank": [4, 8], "dropout": {"low": 0.0, "high": 0.2}}},
}  # fmt: skip


class Recorder:
    """Takes the calls of `adapterd train`, and refuses before anything is sent."""

    def __init__(self) -> None:
        self.task = ""
        self.files: dict[str, str] = {}
        self.options: dict[str, Any] = {}

    def store_file(self, path: Path, *_: Any, **__: Any) -> tuple[Any, bool]:
        return type("Stored", (), {"id": Path(path).name}), False

    def create_job(self, task: str, ids: dict[str, str], **options: Any) -> Any:
        self.task, self.files, self.options = task, ids, options
        raise BadSetting("far enough")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    recorder = Recorder()

    @contextmanager
    def connect(*_: Any) -> Iterator[Recorder]:
        yield recorder

    monkeypatch.setattr(train_command, "connect", connect)
    monkeypatch.chdir(tmp_path)
    return recorder


def spec(**given: Any) -> JobSpec:
    settings = given.pop("settings", SETTINGS)
    chosen = ("kind", *settings)
    return JobSpec(
        tenant="t", task="mail", file_id="f", settings=TrainingSettings.parse(settings),
        chosen=chosen, **given,
    )  # fmt: skip


def lineage(job: JobSpec, **more: Any) -> dict[str, Any]:
    columns = {
        "text": job.text_column, "text_pair": job.text_pair_column, "label": job.label_column
    }  # fmt: skip
    return {
        "request": describe_request(job), "split_seed": job.split_seed, "kind": job.kind,
        "dataset": {"columns": columns}, "settings": job.settings.model_dump(mode="json"),
        "files": {"train": {"filename": "my rows.jsonl"}, "test": {"filename": "-test.jsonl"}},
        **more,
    }  # fmt: skip


def run(line: str) -> None:
    for name in ("my rows.jsonl", "-test.jsonl"):
        Path(name).write_text('{"text": "a", "label": "ham"}')
    words = shlex.split(line)
    assert words[0] == "adapterd"
    with pytest.raises(BadSetting, match="far enough"):
        build_command()(words[1:], standalone_mode=False)


def test_the_command_that_trains_again_asks_for_the_same_job(recorder: Recorder) -> None:
    job = spec(kind="lora", text_column="the body", label_column="y", split_seed=3)
    _, again, _ = list_commands("mail", 4, lineage(job, search={"chosen": 1}))
    run(again.line)
    options = recorder.options
    assert recorder.task == "mail"
    assert recorder.files == {"file_id": "my rows.jsonl", "test_file_id": "-test.jsonl"}
    assert TrainingSettings.parse(options["settings"]) == job.settings
    assert set(options["settings"]) == set(SETTINGS)
    names = ("head", "kind", "pooling", "text_column", "label_column", "split_seed", "promote")
    assert [options[name] for name in names] == ["classify", "lora", "", "the body", "y", 3, False]


def test_the_command_that_trains_the_winner_of_a_search_has_its_settings(
    recorder: Recorder,
) -> None:
    winner = spec(settings=SETTINGS | {"search": None, "rank": 32, "seed": 9}, kind="lora")
    known = lineage(spec(kind="lora"), search={"chosen": 1})
    known["settings"] = winner.settings.model_dump(mode="json")
    *_, alone = list_commands("mail", 4, known)
    assert alone.purpose == "Train the winner of the search alone"
    run(alone.line)
    parsed = TrainingSettings.parse(recorder.options["settings"])
    # the seed that the job began with, not the one that was kept
    assert parsed == winner.settings.model_copy(update={"seed": 7})


def test_the_winner_of_a_search_with_a_preset_trains_what_won(recorder: Recorder) -> None:
    """What the preset would set otherwise is named, and so is all that few rows would change."""
    settings = {"preset": "thorough", "seeds": 1, "search": {"trials": 2}}
    known = lineage(spec(settings=settings, kind="lora"))
    known["search"] = {"chosen": 1}
    winner = TrainingSettings.parse({**settings, "search": None, "epochs": 11, "layers": "half"})
    known["settings"] = winner.model_dump(mode="json")
    *_, alone = list_commands("mail", 4, known)
    run(alone.line)
    assert TrainingSettings.parse(recorder.options["settings"]) == winner
    assert {"batch_rows", "epochs", "patience", "seeds"} <= set(recorder.options["settings"])


def test_a_version_of_a_release_without_presets_is_trained_again_as_it_was(
    recorder: Recorder,
) -> None:
    known = lineage(JobSpec(tenant="t", task="mail", file_id="f"))
    known["settings"] |= {"layers": None, "seeds": 3}
    del known["settings"]["preset"]
    _, again = list_commands("mail", 4, known)
    run(again.line)
    assert recorder.options["settings"] == {
        "batch_rows": 32, "epochs": 5, "patience": 2, "seeds": 3, "layers": "half",
    }  # fmt: skip


def test_a_job_without_choices_has_a_short_command(recorder: Recorder) -> None:
    plain = JobSpec(tenant="t", task="mail", file_id="f")
    _, again = list_commands("mail", 4, lineage(plain))
    assert again.line == (
        "adapterd train mail --data 'my rows.jsonl' --head classify --test-data ./-test.jsonl"
    )
    run(again.line)
    assert (recorder.options["kind"], recorder.options["settings"]) == ("", {})


def test_the_commands_on_the_page_promote_the_version_and_train_it_again(
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: Path,
) -> None:
    run_command = command_runner(monkeypatch, capsys)
    monkeypatch.chdir(rows.parent)
    given = ("--set", "learning_rate=0.5", "--set", "epochs=20", "--set", "patience=20")
    first = run_command("train", "copied", "--data", rows, "--head", "classify", *given, "--json")
    run_command("adapters", "report", "copied@1", "--html", rows.parent / "page.html")
    page = (rows.parent / "page.html").read_text()
    promote, again = (
        shlex.split(html.unescape(line))[1:]
        for line in re.findall(r"<pre><code>(.*?)</code></pre>", page)
    )
    assert run_command(*promote).code == 0
    assert run_command(*again, "--json").json()["digest"] == first.json()["digest"]
