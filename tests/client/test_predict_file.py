"""`adapterd predict` on files and stdin: formats, columns, bad rows, resumption."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from adapterd import Client
from adapterd.batch.partial_file import PartialFile
from adapterd.cli.exit_codes import ExitCode
from adapterd.errors import BadSetting
from adapterd.values import Prediction
from engine.testing.fake_engine import write_fake_adapter
from tests.client.commands import Ran, Run
from tests.client.test_command_line import run  # noqa: F401 a fixture


@pytest.fixture
def task(client: Client, tmp_path: Path) -> str:
    if "mood" not in [found.task for found in client.tasks()]:
        client.register("mood", write_fake_adapter(tmp_path / "adapter", ["bad", "good"]))
    return "mood"


@pytest.fixture
def pipe(
    run: Run,  # noqa: F811
    task: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Runs `adapterd predict mood …` with these bytes on stdin."""

    def call(content: str | bytes, *arguments: object) -> Ran:
        raw = content.encode() if isinstance(content, str) else content
        (tmp_path / "stdin").write_bytes(raw)
        with (tmp_path / "stdin").open(encoding="utf-8") as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            return run("predict", task, *arguments)

    return call


def table(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def test_two_thousand_lines_of_stdin_are_answered_in_order(pipe: Any, client: Client) -> None:
    texts = [f"text number {n}" for n in range(2000)]
    ran = pipe("\n".join(texts) + "\n")
    assert ran.code == 0, ran.err
    rows = table(ran.out)
    assert [row["text"] for row in rows] == texts
    assert [row["id"] for row in rows] == [str(n) for n in range(1, 2001)]
    assert {row["predicted_by"] for row in rows} == {"mood@1"}
    (expected,) = client.predict("mood", texts[1777]).outputs
    assert (rows[1777]["predicted_label"], float(rows[1777]["predicted_score"])) == (
        expected.label, expected.score,
    )  # fmt: skip


def test_json_lines_keep_their_fields_and_their_format(pipe: Any) -> None:
    lines = [{"text": "a good thing", "stars": 5, "id": "x"}, {"stars": 1, "text": "b"}]
    ran = pipe("\n".join(map(json.dumps, lines)))
    assert ran.code == 0, ran.err
    first, second = map(json.loads, ran.out.splitlines())
    assert {name: first[name] for name in lines[0]} == lines[0]
    assert first["predicted_output"].keys() == {"label", "score", "scores"}
    assert (second["id"], second["stars"], second["predicted_by"]) == (2, 1, "mood@1")


def test_json_is_the_answer_of_http(pipe: Any) -> None:
    body = pipe("a good thing\na bad thing\n", "-", "--json").json()
    assert body.keys() == {"outputs", "task", "version", "digest"}
    assert [output["label"] for output in body["outputs"]]
    assert pipe("", "-", "--json").json() == {"outputs": []}


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("stars,text\n5,one\n4,two\n", ["one", "two"]),
        ("\ufeffText;Stars\none;5\ntwo;4\n", ["one", "two"]),
        ("text\tstars\none\t5\n", ["one"]),
        ('text\none\n"two, too"\n', ["one", "two, too"]),
        (',text\n0,one\n1,"two\nlines"\n', ["one", "two\nlines"]),
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('[\n {"text": "one"}\n]\n', ["one"]),
        ('["one", "two"]', ["one", "two"]),
        ('{"prompt": "one", "completion": "x"}\n\n{"prompt": "two"}\n', ["one", "two"]),
        ("[note] one\ntwo\n", ["[note] one", "two"]),
        ("{one}\ntwo\n", ["{one}", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("text,stars\none,5\n".encode("utf-16"), ["one"]),
    ],
    ids=str,
)
def test_the_content_says_how_it_is_read(
    pipe: Any, content: str | bytes, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    predict = Client.predict

    def record(self: Client, ref: str, inputs: Any, **options: Any) -> Prediction:
        sent.extend(each.text for each in inputs)
        return predict(self, ref, inputs, **options)

    monkeypatch.setattr(Client, "predict", record)
    assert pipe(content).code == 0
    assert sent == texts


def test_a_column_is_chosen_by_name(run: Run, task: str, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "reviews.csv").write_text("review,stars\na good thing,5\n")
    refused = run("predict", task, tmp_path / "reviews.csv")
    assert refused.code == ExitCode.REFUSED
    assert "reviews.csv has no column 'text'; it has: review, stars." in refused.err
    assert "Pass --text-column" in refused.err
    ran = run("predict", task, tmp_path / "reviews.csv", "--text-column", "review")
    assert table(ran.out)[0]["review"] == "a good thing"
    wrong = run("predict", task, tmp_path / "reviews.csv", "--text-column", "stars_")
    assert "no column 'stars_'" in wrong.err


def test_bad_rows_have_an_error_cell_and_the_others_an_answer(pipe: Any) -> None:
    ran = pipe(b'text,n\ngood,1\n,2\ncaf\xe9,3\ngood,4,5\n"a\nb",5\n')
    assert ran.code == ExitCode.REFUSED
    rows = table(ran.out)
    assert [bool(row["predicted_label"]) for row in rows] == [True, False, False, False, True]
    assert rows[1]["predicted_error"].startswith("empty_input: ")
    assert rows[2]["predicted_error"] == "bad_row: The row cannot be sent: it is not valid UTF-8."
    assert "it has 3 cells, and the header has 2" in rows[3]["predicted_error"]
    assert "2 of 5 rows were answered by mood@1; 3 failed; first: line 3: " in ran.err


def test_a_line_that_is_no_json_fails_alone(pipe: Any) -> None:
    ran = pipe('{"text": "good"}\n{"text": \n7\n{"text": 3}\n{"txt": "good"}\n')
    assert ran.code == ExitCode.REFUSED
    errors = [json.loads(line)["predicted_output"].get("error") for line in ran.out.splitlines()]
    assert errors[0] is None
    assert "it is not JSON" in errors[1]["message"]
    assert "neither an object nor a text" in errors[2]["message"]
    assert errors[3]["message"] == "The input: text is an int (3); it must be a text."
    assert "none of the fields to send; it has: txt" in errors[4]["message"]


def test_a_file_of_questions_is_answered_by_spans(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    adapter = write_fake_adapter(tmp_path / "a", head={"kind": "span", "no_answer": False})
    client.register("asked-of-files", adapter)
    (tmp_path / "rows.csv").write_text("context,question\nZoe is here,who?\n")
    (row,) = table(run("predict", "asked-of-files", tmp_path / "rows.csv").out)
    start, end = int(row["predicted_start"]), int(row["predicted_end"])
    assert row["predicted_text"] == "Zoe is here"[start:end]
    (tmp_path / "contexts.txt").write_text("Zoe is here\n")
    with_option = run("predict", "asked-of-files", tmp_path / "contexts.txt", "--question", "who?")
    assert table(with_option.out)[0]["predicted_text"] == row["predicted_text"]


def test_the_output_file_replaces_the_old_one_only_when_it_is_complete(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in.txt").write_text("\n".join(f"text {n}" for n in range(400)))
    out = tmp_path / "out.tsv"
    out.write_text("old")
    command = ("predict", task, "--input", tmp_path / "in.txt", "--output", out)
    predict = Client.predict

    def interrupt(self: Client, ref: str, inputs: Any, **options: Any) -> Prediction:
        if inputs[0].text == "text 192":
            raise KeyboardInterrupt
        return predict(self, ref, inputs, **options)

    monkeypatch.setattr(Client, "predict", interrupt)
    stopped = run(*command)
    assert stopped.code == ExitCode.INTERRUPTED
    assert "pass --resume to go on" in stopped.err
    assert out.read_text() == "old"
    partial = tmp_path / "out.tsv.partial"
    assert len(table(partial.read_text(), "\t")) == 192
    monkeypatch.setattr(Client, "predict", predict)
    with partial.open("a") as stream:
        stream.write('193\t"cut')  # as a killed process leaves it
    assert "pass --resume" in run(*command).err
    (tmp_path / "other.txt").write_text("\n".join(f"other {n}" for n in range(400)))
    other = run("predict", task, tmp_path / "other.txt", "-o", out, "--resume")
    assert "Row 192 of the partial file is not row 192 of the input" in other.err
    assert run("predict", f"{task}@9", *command[2:], "--resume").code == ExitCode.USAGE
    ran = run(*command, "--resume")
    assert ran.code == 0, ran.err
    assert f"400 of 400 rows were answered by mood@1 and written to {out}." in ran.err
    assert [row["text"] for row in table(out.read_text(), "\t")] == [
        f"text {n}" for n in range(400)
    ]
    assert not partial.exists()
    assert "nothing to resume" in run(*command, "--resume").err


def test_an_interrupted_file_of_json_lines_is_continued_where_it_was_cut(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    rows = [{"text": f"text {n}", "tags": [n]} for n in range(100)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out.jsonl"
    assert run("predict", task, tmp_path / "in.jsonl", "-o", out).code == 0
    whole = out.read_text()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out.jsonl.partial").write_text("".join(lines[:30]) + lines[30][:20])
    assert run("predict", task, tmp_path / "in.jsonl", "-o", out, "--resume").code == 0
    assert out.read_text() == whole


def test_names_of_new_columns_that_are_taken_are_refused_with_the_way_out(pipe: Any) -> None:
    once = pipe("text\ngood\n").out
    again = pipe(once)
    assert again.code == ExitCode.REFUSED
    assert "has a column 'predicted_label' already; pass --prefix" in again.err
    both = table(pipe(once, "--prefix", "second_").out)
    assert both[0]["second_label"] == both[0]["predicted_label"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("book.csv", b"PK\x03\x04\x14\0", "is an Excel workbook or another ZIP archive; export it"),
        ("rows.csv.gz", b"\x1f\x8b\x08\0", "is compressed (gzip); unpack it"),
        ("paper.txt", b"%PDF-1.7\n", "is a PDF document; pass texts"),
        ("photo", b"\x89PNG\r\n", "is an image (PNG); pass texts"),
        ("data", b"ab\0\0c\n", "is not text; pass texts"),
        ("rows.json", b'[{"text": "a"},', "begins like a JSON array, and is none"),
        ("rows.csv", b"text,text\na,b\n", "names the column 'text' twice"),
        ("rows.csv", b"", "rows.csv is empty; pass a file of texts"),
        ("rows.csv", b"t\xedtulo,text\na,b\n", "The header of rows.csv is not UTF-8; save"),
        ("rows.csv", b"\n", "has no column 'text'; it has: none."),
        ("rows.jsonl", b'{"review": "a"}\n', "line 1, has no column 'text'; it has: review."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_without_rows_is_named_with_the_way_out(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
    name: str,
    content: bytes,
    words: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    ran = run("predict", task, tmp_path / name)
    assert ran.code == ExitCode.REFUSED
    assert words in ran.err


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("https://example.org/rows.csv", "is a URL; download it"),
        ("no-such-rows.csv", "There is no file no-such-rows.csv"),
    ],
)
def test_an_argument_that_is_no_text_is_refused(
    run: Run,  # noqa: F811
    task: str,
    argument: str,
    words: str,
) -> None:
    ran = run("predict", task, argument)
    assert ran.code == ExitCode.USAGE
    assert words in ran.err


def test_odd_combinations_of_options_are_refused(
    run: Run,  # noqa: F811
    pipe: Any,
    task: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "in.txt").write_text("a text\n")
    file = ("predict", task, "--input", tmp_path / "in.txt")
    assert "not both" in run("predict", task, "a text", *file[2:]).err
    assert "its name must end with" in run(*file, "-o", tmp_path / "out.xlsx").err
    assert "must be one of csv, tsv, jsonl, table" in run(*file, "--format", "xml").err
    assert "There is no file gone.txt in" in run("predict", task, "-i", tmp_path / "gone.txt").err
    assert "is a URL; download" in run("predict", task, "-i", "https://example.org/a.csv").err
    assert "is a folder" in run("predict", task, "--input", tmp_path).err
    assert "are for rows" in run("predict", task, "a text", "--format", "csv").err
    assert "are for a file" in run("predict", task, "a text", "--text-column", "text").err
    assert "is a folder" in run("predict", task, tmp_path).err
    assert "pass that file too" in run(*file, "--resume").err
    assert "--stream cannot be combined" in run(*file, "--stream", "-o", tmp_path / "out.csv").err
    assert "pass one of them" in run(*file, "--json", "--format", "csv").err
    assert "no_such_parameter" in pipe("a text\n", "--param", "no_such_parameter=1").err


def test_parameters_of_http_without_an_option_are_passed_by_name(pipe: Any) -> None:
    ran = pipe('{"text": "a text"}\n', "--param", "raw_scores=true")
    scores = json.loads(ran.out)["predicted_output"]["scores"]
    assert sum(scores.values()) != pytest.approx(1.0)


def test_a_terminal_shows_the_first_rows_as_a_table(pipe: Any) -> None:
    ran = pipe("\n".join(f"text {n}" for n in range(60)), "--format", "table")
    assert ran.code == 0, ran.err
    assert "text 49" in ran.out
    assert "text 50" not in ran.out
    assert "10 more rows; --output FILE" in ran.out


def test_texts_are_streamed_for_the_rows_of_a_file_until_one_cannot_be_sent(
    client: Client,
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    client.register("writes-rows", write_fake_adapter(tmp_path / "a", head={"kind": "generate"}))
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n{"prompt":\n')
    command = ("predict", "writes-rows", tmp_path / "rows.jsonl", "--stream", "--max-tokens", 2)
    ran = run(*command)
    assert ran.code == ExitCode.REFUSED
    assert ran.out.count("\n") == 2
    assert "Line 3 of rows.jsonl cannot be sent: it is not JSON" in ran.err
    chunks = [json.loads(line) for line in run(*command, "--json").out.splitlines()]
    assert [chunk["input"] for chunk in chunks if chunk["finish_reason"]] == [0, 1]


def test_a_long_text_is_cut_where_truncate_is_given(pipe: Any) -> None:
    long = "good " * 5000
    refused = pipe(f"{long}\n")
    assert refused.code == ExitCode.REFUSED
    assert "input_too_long" in refused.err
    assert pipe(f"{long}\n", "--truncate").code == 0


def test_a_failed_row_is_reported_with_the_file_that_has_the_others(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "in.txt").write_text("good\n\nbad\n")
    out = tmp_path / "out.jsonl"
    ran = run("predict", task, tmp_path / "in.txt", "-o", out)
    assert ran.code == ExitCode.REFUSED
    assert (
        f"2 of 3 rows were answered by mood@1 and written to {out}; 1 failed; first: line 2: "
        in (ran.err)
    )
    assert len(out.read_text().splitlines()) == 3


def test_a_terminal_on_stdin_is_told_what_is_read(
    run: Run,  # noqa: F811
    task: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    with Terminal(io.BytesIO(b"a good thing\n"), encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ran = run("predict", task)
    assert ran.code == 0
    assert ran.err.startswith("Reading texts from the terminal, one a line; Ctrl-D ends them.")


def test_a_carriage_return_in_a_cell_does_not_end_its_row(pipe: Any) -> None:
    texts = ["a good\rday", "a bad\r\nday", "fine"]
    ran = pipe("\n".join(json.dumps({"text": text}) for text in texts), "--format", "csv")
    assert [row["text"] for row in csv.DictReader(io.StringIO(ran.out, newline=""))] == texts


def test_a_long_cell_of_another_column_is_one_cell(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    page = "a line of a page\n" * 20_000
    with (tmp_path / "in.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("page", "text"), (page, "good"), ("none", "bad")])
    out = tmp_path / "out.csv"
    assert run("predict", task, tmp_path / "in.csv", "-o", out).code == 0
    whole = out.read_text()
    assert [row["text"] for row in table(whole)] == ["good", "bad"]
    (tmp_path / "out.csv.partial").write_text(whole)
    ran = run("predict", task, tmp_path / "in.csv", "-o", out, "--resume")
    assert (ran.code, out.read_text()) == (0, whole)


def test_lines_that_a_stray_quotation_mark_joins_are_an_error_and_no_text(pipe: Any) -> None:
    ran = pipe('text\n"good, he said\nbad\n"fine, she said\nsome other\n')
    assert ran.code == ExitCode.REFUSED
    rows = table(ran.out)
    assert [row["text"] for row in rows if row["predicted_label"]] == ["some other"]
    assert "it is malformed: ',' expected after" in rows[0]["predicted_error"]


def test_half_a_character_inside_of_a_field_fails_its_row_alone(pipe: Any) -> None:
    ran = pipe('{"text": "good", "tags": ["\\ud800"]}\n{"text": "bad", "tags": []}\n')
    assert ran.code == ExitCode.REFUSED
    first, second = map(json.loads, ran.out.splitlines())
    assert (first["tags"], first["predicted_output"]["error"]["code"]) == (["?"], "bad_row")
    assert "label" in second["predicted_output"]


def test_a_run_that_had_only_failed_rows_is_continued_with_the_columns_of_the_answers(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "in.txt").write_text("\na good day\n")
    out = tmp_path / "out.csv"
    (tmp_path / "out.csv.partial").write_text(
        "id,text,predicted_error,predicted_by\n1,,empty_input: The input is empty.,\n"
    )
    ran = run("predict", task, tmp_path / "in.txt", "-o", out, "--resume")
    assert ran.code == ExitCode.REFUSED, ran.err
    assert [bool(row["predicted_label"]) for row in table(out.read_text())] == [False, True]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_run_is_not_continued_under_another_prefix(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
    suffix: str,
) -> None:
    (tmp_path / "in.txt").write_text("a good day\na bad day\n")
    out, partial = tmp_path / f"out.{suffix}", tmp_path / f"out.{suffix}.partial"
    assert run("predict", task, tmp_path / "in.txt", "-o", out).code == 0
    out.rename(partial)
    written = partial.read_text()
    ran = run("predict", task, tmp_path / "in.txt", "-o", out, "--resume", "--prefix", "new_")
    assert ran.code == ExitCode.REFUSED
    assert "The partial file has no column 'new_by'" in ran.err
    assert partial.read_text() == written


def test_a_field_of_later_rows_alone_is_named_where_csv_has_no_column_for_it(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    rows = [{"text": "a good day"}, {"text": "a bad day", "note": "new"}, {"text": "so so"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out.csv"
    ran = run("predict", task, tmp_path / "in.jsonl", "-o", out)
    assert "the output has no column for note, because" in ran.err
    lines = out.read_text().splitlines(keepends=True)
    (tmp_path / "out.csv.partial").write_text("".join(lines[:3]))
    assert run("predict", task, tmp_path / "in.jsonl", "-o", out, "--resume").code == 0
    assert out.read_text() == "".join(lines)


def test_an_error_before_the_first_answer_leaves_no_json_on_stdout(
    run: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "in.txt").write_text("good\n")
    ran = run("predict", "nobody", tmp_path / "in.txt", "--json")
    assert (ran.code, ran.out) == (ExitCode.NOT_FOUND, "")
    assert json.loads(ran.err)["error"]["code"] == "unknown_task"


def test_json_beside_an_output_file_is_one_document_about_it(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "in.txt").write_text("good\n\nbad\n")
    ran = run("predict", task, tmp_path / "in.txt", "-o", tmp_path / "out.csv", "--json")
    assert ran.code == ExitCode.REFUSED
    assert ran.json() == {
        "output": str(tmp_path / "out.csv"), "rows": 3, "failed": 1, "by": "mood@1",
    }  # fmt: skip
    assert json.loads(ran.err)["error"]["message"].startswith("2 of 3 rows were answered")


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(BadSetting, match="is a folder; pass the name of a file in it"):
        PartialFile(tmp_path / "out.csv", resume=False)
    full = PartialFile(tmp_path / "full.csv", resume=False)
    with pytest.raises(BadSetting, match="cannot be written: No space left on device"), full:
        raise OSError(28, "No space left on device")
    assert not full.partial.exists()


def test_a_command_of_the_shell_may_stand_for_a_file(
    run: Run,  # noqa: F811
    task: str,
    tmp_path: Path,
) -> None:
    pipe_file = tmp_path / "fifo"
    os.mkfifo(pipe_file)
    writer = Thread(target=pipe_file.write_text, args=("a good day\na bad day\n",))
    writer.start()
    ran = run("predict", task, pipe_file)
    writer.join()
    assert [row["text"] for row in table(ran.out)] == ["a good day", "a bad day"]
