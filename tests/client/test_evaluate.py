"""`adapterd evaluate` and `adapterd compare`: the same figures as the reports of the versions."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapterd import Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.values import Completion, Output, RowError
from engine.testing.fake_engine import write_fake_adapter
from tests.client.commands import Run
from tests.client.test_command_line import run  # noqa: F401 a fixture
from tests.trainer.build import pair_rows, question_rows, relevance_rows, tag_rows

WORDS = {"good": ["good", "fine", "lovely"], "bad": ["bad", "sad", "awful"]}


def label_rows(count: int = 120, noise: float = 0.2, seed: int = 3) -> list[dict[str, Any]]:
    """Texts of two labels; some have words of the other."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        label = ("good", "bad")[number % 2]
        words = [
            chance.choice(WORDS[label if chance.random() > noise else ("bad", "good")[number % 2]])
            for _ in range(3)
        ]
        rows.append({"text": f"{' '.join(words)} thing number {number}", "label": label})
    return rows


def number_rows() -> list[dict[str, Any]]:
    return [{"text": f"{'good ' * (n % 7)}thing {n}", "label": n % 7 / 2} for n in range(120)]


def list_rows() -> list[dict[str, Any]]:
    labels = [["good"], ["bad"], ["good", "bad"], []]
    return [
        {"text": f"{' '.join(labels[n % 4])} thing {n}", "label": labels[n % 4]} for n in range(120)
    ]


def scored_pair_rows() -> list[dict[str, Any]]:
    """Whose cosines are far enough apart that their order does not depend on rounding."""
    return [
        {
            "text": "good " * (1 + n % 5) + "fine",
            "text_pair": "good " + "bad sad " * (n % 7),
            "label": n // 3 % 4 / 4,
        }
        for n in range(90)
    ]


def partner_rows() -> list[dict[str, Any]]:
    return [{"text": row["text"], "text_pair": row["pair"]} for row in pair_rows(90)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


HEADS: dict[str, tuple[str, Callable[[], list[dict[str, Any]]]]] = {
    "labels": ("classify", label_rows),
    "lists": ("classify", list_rows),
    "numbers": ("regress", number_rows),
    "tags": ("tag", lambda: tag_rows(90)),
    "spans": ("span", lambda: question_rows(90)),
    "pairs": ("embed", partner_rows),
    "scored-pairs": ("embed", scored_pair_rows),
    "relevance": ("rerank", lambda: relevance_rows(90)),
}


#: the others read their answers by other code
ALIKE = ("lists", "scored-pairs")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in HEADS]
)
def test_the_figures_on_test_rows_are_those_of_the_report(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    head, make_rows = HEADS[name]
    rows = make_rows()
    data, test = (write(tmp_path / f"{part}.jsonl", rows[k::3]) for k, part in ((0, "t"), (1, "e")))
    settings = {"epochs": 2, "seeds": 1}
    client.train(f"eval-{name}", data, test_data=test, head=head, settings=settings)
    ran = run("evaluate", f"eval-{name}@1", test, "--json")
    assert ran.code == 0, ran.err
    report, evaluation = client.version(f"eval-{name}@1").lineage["report"], ran.json()
    assert evaluation["headline"]["metric"] == report["headline"]["metric"]
    for metric, value in report["intervals"].items():
        assert evaluation["intervals"][metric] == pytest.approx(value, rel=1e-4, abs=1e-5), metric
    metrics = client.job(client.version(f"eval-{name}@1").lineage["job"]).result["metrics"]["test"]
    for metric, value in metrics.items():
        assert evaluation["metrics"][metric] == pytest.approx(value, rel=1e-4, abs=1e-5), metric


def test_generated_texts_are_held_against_the_completions(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    client.register("writer", write_fake_adapter(tmp_path / "a", head={"kind": "generate"}))
    prompts = [f"say {n}" for n in range(10)]
    texts = [output.text for output in client.predict("writer", prompts).outputs]
    rows = [
        {"prompt": prompt, "completion": text if n % 2 else f"not {text}"}
        for n, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
    ]
    body = run("evaluate", "writer@1", write(tmp_path / "texts.jsonl", rows), "--json").json()
    assert body["metrics"]["exact_match"] == 0.5
    assert "What writer@1 was trained on is not known" in body["notes"][0]


def test_a_conversation_is_sent_up_to_the_message_that_is_evaluated(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client.register("chats", write_fake_adapter(tmp_path / "a", head={"kind": "generate"}))
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    tools = [{"type": "function", "function": {"name": "add"}}]
    sent: list[Any] = []

    def answer(_client: Client, _ref: str, inputs: list[Any], **_options: Any) -> Iterator[Output]:
        sent.extend(inputs)
        for _ in inputs:
            yield Completion(
                text="hello", finish_reason="stop", prompt_tokens=1, completion_tokens=1
            )

    monkeypatch.setattr(Client, "predict_rows", answer)
    rows = [{"messages": turns, "tools": tools}] * 2
    body = run("evaluate", "chats@1", write(tmp_path / "rows.jsonl", rows), "--json").json()
    assert sent == [{"messages": turns[:1], "tools": tools}] * 2
    assert body["metrics"]["exact_match"] == 1.0


#: a version that learns its rows, and one that hardly does
GOOD = {"epochs": 20, "batch_rows": 32, "learning_rate": 0.5, "patience": 20}
POOR = {"epochs": 1, "batch_rows": 32, "learning_rate": 0.001}


@pytest.fixture
def mood(client: Client, tmp_path: Path) -> Path:
    """The test rows of two versions of one task, of which the second is worse."""
    data, test = (write(tmp_path / f"{n}.jsonl", label_rows(seed=n)) for n in (1, 2))
    if "mood" not in [task.task for task in client.tasks()]:
        client.train("mood", data, test_data=test, head="classify", settings=GOOD, promote=True)
        client.train("mood", data, test_data=test, head="classify", settings=POOR)
    return test


def test_a_comparison_is_that_of_the_report_with_production(
    client: Client,
    run: Run,  # noqa: F811
    mood: Path,
) -> None:
    ran = run("compare", "mood@2", "mood@1", "--data", mood, "--json")
    assert ran.code == ExitCode.DO_NOT_SHIP
    body = ran.json()
    report = client.version("mood@2").lineage["report"]
    (expected,) = [each for each in report["comparisons"] if each["kind"] == "production"]
    for figure in ("ours", "theirs", "gain", "low", "high", "p"):
        assert body["comparison"][figure] == pytest.approx(expected[figure], rel=1e-4), figure
    for name in ("metric", "test"):
        assert body["comparison"][name] == expected[name]
    assert body["decision"] == "worse"
    assert body["words"].startswith("mood@2 is significantly worse than mood@1: accuracy 0.")
    assert (body["a"]["ref"], body["b"]["ref"], body["rows"]) == ("mood@2", "mood@1", 120)


def test_the_better_version_and_an_equal_one_end_with_0(
    run: Run,  # noqa: F811
    mood: Path,
) -> None:
    better = run("compare", "mood@1", "mood@2", "--data", mood)
    assert better.code == 0, better.err
    assert better.out.startswith("mood@1 is significantly better than mood@2: ")
    same = run("compare", "mood", "mood@1", "--data", mood, "--json")
    assert same.code == 0
    assert same.json()["decision"] == "cannot_tell"
    assert same.json()["words"].startswith("Cannot tell mood@1 from mood@1 on 120 rows: ")
    assert same.json()["num_differing"] == 0


def test_rows_that_differ_are_shown_and_written_to_a_file(
    client: Client,
    run: Run,  # noqa: F811
    mood: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "differing.csv"
    body = run(
        "compare", "mood@2", "mood@1", "--data", mood, "--show", 3, "-o", out, "--json"
    ).json()
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(body["differing"]) == 3
    assert len(rows) == body["num_differing"] > 3
    first = rows[0]
    assert (first["mood@1 is right"], first["mood@2 is right"]) == ("True", "False")
    assert first["mood@1"] == first["label"] != first["mood@2"]
    (output,) = client.predict("mood@1", first["text"]).outputs
    assert output.label == first["mood@1"]
    refused = run("compare", "mood@2", "mood@1", "--data", mood, "-o", tmp_path / "a.xlsx")
    assert refused.code == ExitCode.USAGE


def test_versions_with_other_labels_or_heads_are_not_compared(
    client: Client,
    run: Run,  # noqa: F811
    mood: Path,
    tmp_path: Path,
) -> None:
    client.register("others", write_fake_adapter(tmp_path / "a", ["no", "yes"]))
    client.register("values", write_fake_adapter(tmp_path / "b", head={"kind": "embed"}))
    labels = run("compare", "mood@1", "others", "--data", mood)
    assert labels.code == ExitCode.REFUSED
    assert "only mood@1 has bad, good; only others@1 has no, yes." in labels.err
    heads = run("compare", "mood@1", "values", "--data", mood)
    assert "mood@1 has the head classify, and values@1 has embed." in heads.err


def test_the_own_test_rows_of_a_training_file_are_held_out(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
    mood: Path,
) -> None:
    data = write(tmp_path / "all.jsonl", label_rows(seed=7))
    client.train("whole", data, head="classify", settings={"epochs": 2, "seeds": 1})
    report = client.version("whole@1").lineage["report"]
    held_out = run("evaluate", "whole@1", data, "--held-out", "--json").json()
    assert held_out["parts"] == report["rows"]
    assert held_out["rows"] == report["rows"]["test"]
    assert held_out["headline"]["value"] == pytest.approx(report["headline"]["value"], rel=1e-4)
    assert held_out["notes"] == []
    everything = run("evaluate", "whole@1", data)
    training = f"{report['rows']['train']} of its rows are training rows"
    assert f"whole@1 was trained on all.jsonl: {training}" in everything.out
    assert "Pass --held-out for its" in everything.out
    other = run("evaluate", "whole@1", mood, "--held-out")
    assert other.code == ExitCode.USAGE
    assert "is not the training file of whole@1" in other.err


def test_an_evaluation_shows_people_metrics_labels_and_confusions(
    run: Run,  # noqa: F811
    mood: Path,
) -> None:
    ran = run("evaluate", "mood@1", mood)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"mood@1 on 120 rows of {mood.name}\n • accuracy 0.")
    for word in ("95 % interval", "expected calibration error", "macro_f1", "precision"):
        assert word in ran.out
    assert "is one of the files that mood@1 was made from" in ran.out


def test_rows_that_cannot_be_evaluated_are_left_out_and_named(
    run: Run,  # noqa: F811
    mood: Path,
    tmp_path: Path,
) -> None:
    rows = [{"text": "good fine thing", "label": "good"}] * 9
    rows += [{"text": "a", "label": ""}, {"text": "sad", "label": "gloomy"}]
    ran = run("evaluate", "mood@1", write(tmp_path / "odd.jsonl", rows), "--json")
    assert ran.code == 0, ran.err
    body = ran.json()
    assert body["rows"] == 10
    assert "1 error in odd.jsonl" in body["notes"][0]
    assert "mood@1 does not know these labels of the file, with rows: gloomy (1)." in body["notes"]
    assert "its lineage has no digests of single rows" in " ".join(body["notes"])


def test_a_row_without_an_answer_is_left_out_and_the_status_says_so(
    run: Run,  # noqa: F811
    mood: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict = Client.predict_rows

    def fail_one(*arguments: Any, **options: Any) -> Iterator[Output]:
        for number, output in enumerate(predict(*arguments, **options)):
            yield RowError(code="row_failed", message="It failed.") if number == 4 else output

    monkeypatch.setattr(Client, "predict_rows", fail_one)
    ran = run("evaluate", "mood@1", write(tmp_path / "rows.jsonl", label_rows(20)), "--json")
    assert ran.code == ExitCode.REFUSED
    assert (ran.json()["rows"], ran.json()["failed"]) == (19, 1)
    assert "mood@1 has no answer to 1 of 20 rows, which are left out; first: line 5: It" in ran.err


def test_columns_of_another_file_are_chosen_by_name(
    run: Run,  # noqa: F811
    mood: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "renamed.csv"
    lines = [f"{row['text']},{row['label']}" for row in label_rows(30)]
    path.write_text("review,verdict\n" + "\n".join(lines))
    assert run("evaluate", "mood@1", path).code == ExitCode.REFUSED
    columns = ("--text-column", "review", "--label-column", "verdict")
    assert run("evaluate", "mood@1", path, *columns, "--json").json()["rows"] == 30


def test_a_file_is_read_as_the_training_read_it(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = tmp_path / "gaps.csv"
    lines = [f"{row['text']},{float(row['label'] == 'good')}" for row in label_rows(80)]
    path.write_text("Text,Label\n" + "\n".join(lines))
    client.train("gaps", path, head="classify", settings={"epochs": 2, "seeds": 1})
    report = client.version("gaps@1").lineage["report"]
    body = run("evaluate", "gaps@1", path, "--held-out", "--json").json()
    assert body["headline"]["value"] == pytest.approx(report["headline"]["value"], rel=1e-4)
    assert body["notes"] == []
