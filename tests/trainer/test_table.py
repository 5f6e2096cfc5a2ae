"""Formats: what is read, and which line is named when it cannot be."""

from __future__ import annotations

import gzip
import re

import pytest

from trainer.errors import BadDataset, BadEncoding, BadLine
from trainer.readers.reader import read_records, read_rows


def fields(content: bytes, filename: str) -> list[dict[str, object]]:
    return [record.fields for record in read_records(content, filename)]


def test_jsonl_is_one_object_per_line_and_blank_lines_are_skipped() -> None:
    records = list(read_records(b'{"a": 1}\n\n{"a": 2}\n', "rows.jsonl"))
    assert [(record.line, record.fields) for record in records] == [(1, {"a": 1}), (3, {"a": 2})]


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle() -> None:
    assert fields(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n', "rows.jsonl") == [{"a": 1}, {"a": 2}]


def test_utf_16_with_its_mark_is_read() -> None:
    assert fields('{"a": "ñ"}'.encode("utf-16"), "rows.jsonl") == [{"a": "ñ"}]


def test_a_byte_that_is_not_utf_8_is_named_and_shown_as_it_may_have_been_meant() -> None:
    with pytest.raises(BadEncoding, match=r"byte 11 of line 2, 0xe9, is invalid.*'.*café'"):
        fields('{"a": 1}\n{"a": "café'.encode("latin-1"), "rows.jsonl")


@pytest.mark.survival("F2")
def test_a_line_longer_than_any_usable_row_is_refused_unread() -> None:
    with pytest.raises(BadLine, match="Line 2 is longer than 8388608 bytes") as caught:
        fields(b'{"a": 1}\n{"a": "' + b"x" * 100_000_000 + b'"}', "rows.jsonl")
    assert caught.value.line == 2


def test_rows_after_a_bad_one_are_still_read() -> None:
    rows = list(read_rows(b'{"a": 1}\n{\n{"a": 2}\n', "rows.jsonl"))
    assert [type(row).__name__ for row in rows] == ["Record", "BadLine", "Record"]
    rows = list(read_rows(b"a,b\n1\n1,2\n", "rows.csv"))
    assert [type(row).__name__ for row in rows] == ["BadLine", "Record"]


def test_a_line_separator_inside_a_string_does_not_end_the_line() -> None:
    assert fields('{"a": "x\u2028y"}'.encode(), "rows.jsonl") == [{"a": "x\u2028y"}]


def test_a_malformed_json_line_is_named() -> None:
    with pytest.raises(BadLine, match="Line 2 is not JSON") as caught:
        fields(b'{"a": 1}\n{"a": \n', "rows.jsonl")
    assert caught.value.line == 2


def test_a_line_that_is_no_object_is_named() -> None:
    with pytest.raises(BadLine, match="Line 2 is an array; each line must be one JSON object"):
        fields(b'{"a": 1}\n[1]\n', "rows.jsonl")


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 1"):
        fields(b'{"a": ' + b"[" * 200_000, "rows.jsonl")


@pytest.mark.parametrize("filename", ["rows.json", "rows.jsonl", "rows.txt"])
def test_a_json_array_is_a_row_per_element_on_the_line_where_it_begins(filename: str) -> None:
    content = b'[\n {"a": 1},\n {"a":\n 2}, {"a": "]"}\n]\n'
    records = list(read_records(content, filename))
    assert [(r.line, r.fields["a"]) for r in records] == [(2, 1), (3, 2), (4, "]")]


def test_an_element_that_is_no_object_is_an_error_of_its_line() -> None:
    rows = list(read_rows(b'[{"a": 1},\n"b",\n{"a": 2}]', "rows.json"))
    assert [type(row).__name__ for row in rows] == ["Record", "BadLine", "Record"]
    assert str(rows[1]) == "Line 2: element 2 is a string; each must be an object."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[]", "an empty JSON array, so it has no rows"),
        (b'[{"a": 1}\n{"a": 2}]', "Expecting ',' delimiter or ']' at line 2, character 1"),
        (b'[{"a": 1},\n{"a": ]', "Expecting value at line 2, character 7"),
        (b'[{"a": 1}', "Expecting ',' delimiter or ']' at character 10"),
        (b'[{"a": 1}] x', "Extra data at character 12"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_an_array_that_cannot_be_read_is_refused_with_the_place(
    content: bytes, sentence: str
) -> None:
    with pytest.raises(BadDataset, match=re.escape(sentence)):
        fields(content, "rows.json")


@pytest.mark.parametrize("more", ['"version": 1, ', '"schema": {"fields": []}, '])
def test_the_rows_of_an_objects_list_data_are_rows(more: str) -> None:
    content = f'{{{more}"data": [{{"a": 1}}, {{"a": 2}}]}}'
    assert fields(content.encode(), "rows.json") == [{"a": 1}, {"a": 2}]


def test_rows_with_a_list_data_are_still_rows() -> None:
    content = b'{"data": [1], "a": 1}\n{"data": [2], "a": 2}\n'
    assert [row["a"] for row in fields(content, "rows.jsonl")] == [1, 2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"data": []}', "whose list `data` is empty"),
        (b'{"data": [{"paragraphs": []}]}', "was taken for SQuAD, because"),
        (b'{"a": {"0": 1}, "b": {"0": 2}}', "with an object for each column, as pandas writes it"),
        (b'{"columns": ["a"], "data": [[1]]}', "write one row per line instead: `df.to_json(path"),
        (
            b'{\n "a": 1\n}\n',
            "one JSON object over several lines, with the keys 'a'; write one row",
        ),
    ],
)
def test_one_object_without_rows_is_refused_with_the_way_out(content: bytes, sentence: str) -> None:
    with pytest.raises(BadDataset, match=re.escape(sentence)):
        fields(content, "rows.json")


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_delimiter_is_read_off_the_header(delimiter: str) -> None:
    content = f"text{delimiter}label\nhello{delimiter}yes\n".encode()
    assert fields(content, "rows.txt") == [{"text": "hello", "label": "yes"}]


def test_quoted_cells_may_hold_delimiters_and_line_breaks() -> None:
    records = list(read_records(b'text,label\n"a, b\nc",x\nd,y\n', "rows.csv"))
    assert [(r.line, r.fields["text"]) for r in records] == [(2, "a, b\nc"), (4, "d")]


def test_a_row_with_another_number_of_columns_is_named() -> None:
    with pytest.raises(BadLine, match="Line 3 has 3 columns, and the header has 2"):
        fields(b"text,label\na,b\na,b,c\n", "rows.csv")


def test_an_unclosed_quote_is_named() -> None:
    with pytest.raises(BadLine, match="malformed"):
        fields(b'text,label\n"a, and, b\n', "rows.csv")


def test_a_header_must_name_each_column_once() -> None:
    with pytest.raises(BadLine, match="names a column more than once"):
        fields(b"text,text\na,b\n", "rows.csv")


def test_conll_sentences_end_at_blank_lines() -> None:
    content = b"-DOCSTART-\tO\n\nAnn\tB-person\nran\tO\n\nBob\tB-person\n"
    records = list(read_records(content, "rows.conll"))
    assert [r.line for r in records] == [3, 6]
    assert records[0].fields == {"tokens": ["Ann", "ran"], "ner_tags": ["B-person", "O"]}


def test_further_conll_columns_can_be_chosen() -> None:
    record = fields(b"Ann NNP B-NP B-per\nran VBD B-VP O\n", "rows.conll")[0]
    assert (record["ner_tags"], record["column_3"]) == (["B-per", "O"], ["B-NP", "B-VP"])


def test_tabs_let_a_conll_token_hold_spaces() -> None:
    assert fields(b"New York\tB-place\n", "rows.conll")[0]["tokens"] == ["New York"]


def test_a_conll_token_without_a_tag_is_named() -> None:
    with pytest.raises(BadLine, match="Line 2"):
        fields(b"Ann\tB-person\nran\n", "rows.conll")


@pytest.mark.survival("F2")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b'{"a": "\xff"}', "byte 8 of line 1, 0xff"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ('{"a": 1}'.encode("utf-16") + b"\x00", "has a UTF-16 byte order mark"),
        (b"text,label\na\0b,c\n", "byte 2 of line 2 is NUL"),
    ],
)
def test_what_is_not_text_is_refused_with_the_reason(content: bytes, sentence: str) -> None:
    with pytest.raises(BadDataset, match=sentence) as caught:
        fields(content, "rows.csv")
    assert isinstance(caught.value, BadEncoding) or b"\xff" not in content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            gzip.compress(b"text,label", mtime=0),
            "is compressed with gzip; unpack it and pass the file inside",
        ),
        (
            b"PK\x03\x04..xl/workbook.xml",
            r"rows.csv is an Excel workbook; export the sheet as CSV \(UTF-8\) and pass that",
        ),
        (b"PK\x03\x04..rows.csv", "is a ZIP archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Microsoft Office"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><p>", "is a web page"),
        (b"SQLite format 3\0", "SQLite"),
        (b"PK\x05\x06" + bytes(18), "is a ZIP archive"),
        (b"PK\x03\x04..word/document.xml", "is a Word document"),
        (b"%PDF-1.7\n%\xe2\xe3", "is a PDF document; pass labelled rows as JSON Lines, CSV or Pa"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image and holds no rows"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a JPEG image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "is a WebP image"),
        (b"a.csv".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive"),
        (b"ARROW1\0\0", "is an Arrow file"),
    ],
)
def test_files_that_are_no_text_are_refused_by_name(content: bytes, sentence: str) -> None:
    with pytest.raises(BadDataset, match=sentence):
        fields(content, "rows.csv")


def test_a_workbook_is_known_by_its_name_where_its_bytes_do_not_tell() -> None:
    with pytest.raises(BadDataset, match="is an Excel workbook"):
        fields(b"PK\x03\x04" + bytes(80), "mail.xlsx")


@pytest.mark.parametrize(
    "content",
    [
        b"BMI,label\n1,2\n",
        b"ID3,label\n1,2\n",
        b"abcdftyp,b\n1,2\n",
        b"PARENT,label\n1,2\n",
    ],
)
def test_words_that_look_like_marks_of_formats_are_text(content: bytes) -> None:
    assert len(fields(content, "rows.csv")) == 1


def test_bytes_that_are_neither_text_nor_a_known_format_are_called_no_text() -> None:
    with pytest.raises(BadEncoding, match="The file is not text: byte 1 of line 1 is NUL"):
        fields(bytes(40) + b"abc", "rows.bin")
