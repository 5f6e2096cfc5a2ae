"""CSV and TSV as programs and people write them: every row is read, or its line is named."""

from __future__ import annotations

import pytest

from tests.trainer.data_checks.looking import finding, look
from trainer.errors import BadLine
from trainer.readers.reader import read_records, read_rows
from trainer.readers.record import Notice


def rows(content: str, filename: str = "rows.csv") -> list[dict[str, object]]:
    return [record.fields for record in read_records(content.encode(), filename)]


def notices(content: str) -> list[Notice]:
    found = read_rows(content.encode(), "rows.csv")
    return [row for row in found if isinstance(row, Notice)]


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_a_text_that_begins_with_a_quote_mark_takes_no_other_rows_in(mark: str) -> None:
    told = [("fine", "good"), ('"Never', "bad"), ("so", "good"), ('again"', "bad"), ("no", "bad")]
    content = "\n".join(mark.join(row) for row in [("text", "label"), *told])
    assert [(row["text"], row["label"]) for row in rows(content)] == told
    assert [notice.line for notice in notices(content)] == [3]


@pytest.mark.parametrize("text", ['"Hi" she said', '"Never', '"One" and "two"'])
def test_quotes_of_speech_are_kept_in_a_file_that_does_not_quote(text: str) -> None:
    assert rows(f"text\tlabel\n{text}\tgood\nno\tbad\n")[0] == {"text": text, "label": "good"}


def test_a_letter_over_two_lines_is_one_cell() -> None:
    content = 'text,label\nok,good\n"Dear Sir,\nthank you",good\nno,bad\n'
    assert [row["text"] for row in rows(content)] == ["ok", "Dear Sir,\nthank you", "no"]
    assert notices(content) == []


def test_rows_taken_in_by_a_quote_are_refused_where_other_cells_are_quoted() -> None:
    content = 'text,label\n"a, b",good\n"Never,bad\nno,good\nso",bad\nx,good\ny,bad\n'
    with pytest.raises(BadLine, match="Line 3 begins a quoted cell of 3 lines") as caught:
        rows(content)
    assert caught.value.line == 3


def test_numbers_beside_texts_show_that_rows_were_taken_in() -> None:
    content = 'text,score\na,0.5\n"b,0.25\nc",0.125\nd,1\n'
    assert [row["score"] for row in rows(content)] == ["0.5", "0.25", "0.125", "1"]


def test_backslashes_before_inner_quote_marks_are_left_out() -> None:
    content = 'text,label\n"He said \\"hi, you\\"",good\nb,bad\n'
    assert rows(content)[0]["text"] == 'He said "hi, you"'
    assert "backslash" in notices(content)[0].message


def test_inner_quote_marks_that_are_not_doubled_are_refused_in_a_file_that_quotes() -> None:
    with pytest.raises(BadLine, match=r"Line 2 is malformed: .* double each quote mark"):
        rows('"text","label"\n"a "fine" day","good"\n')


def test_the_finding_shows_the_line() -> None:
    content = "text\tlabel\n" + "".join(f'"word{i} a\tx{i % 2}\n' for i in range(60))
    found = finding("reading_choice", content.encode(), "rows.tsv")
    assert (found.severity, found.samples[0].line) == ("info", 2)
    assert look(content.encode(), "rows.tsv").rows["file"] == 60


def test_an_index_without_a_name_is_a_column_by_its_place() -> None:
    content = ",text,label\n0,a,x\n1,b,y\n"
    assert rows(content)[1] == {"column_1": "1", "text": "b", "label": "y"}


def test_empty_last_columns_are_left_out() -> None:
    assert rows("text,label,,\na,x,,\nb,y\n") == [
        {"text": "a", "label": "x"}, {"text": "b", "label": "y"},
    ]  # fmt: skip


def test_something_in_a_last_column_without_a_name_is_refused() -> None:
    """It is more often a comma too many than a further column."""
    with pytest.raises(BadLine, match=r"Line 3 has 3 columns, and the header has 2; .* a comma"):
        rows("text,label,,\na,x,,\nwell, b,y,\n")


def test_more_empty_cells_than_columns_do_no_harm() -> None:
    assert rows("text,label\na,x,\n") == [{"text": "a", "label": "x"}]


def test_rows_of_empty_cells_are_blank_lines() -> None:
    assert len(rows("text,label\na,x\n,\n , \nb,y\n")) == 2


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=;;"])
def test_excels_line_tells_the_delimiter(line: str) -> None:
    assert rows(f"{line}\r\ntext, raw;label\r\na;x\r\n") == [{"text, raw": "a", "label": "x"}]


def test_a_quoted_header_may_hold_other_delimiters() -> None:
    assert rows('"text, in, full";label\na;x\n') == [{"text, in, full": "a", "label": "x"}]


def test_spaces_after_commas_are_no_part_of_quoted_cells() -> None:
    assert rows('text, label\n"a, b", "x"\n') == [{"text": "a, b", "label": "x"}]


def test_a_wide_cell_of_a_column_that_is_not_used_does_no_harm() -> None:
    assert len(rows(f"text,label,html\na,x,{'y' * 140_000}\nb,y,z\n")) == 2


def test_lines_may_end_as_on_old_macs() -> None:
    assert rows("text,label\ra,x\rb,y\r")[1] == {"text": "b", "label": "y"}


def test_a_header_in_the_middle_of_joined_files_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 3 repeats the header"):
        rows("text,label\na,x\n\ufefftext,label\nb,y\n")


def test_a_column_named_twice_is_named() -> None:
    with pytest.raises(BadLine, match=r"names a column more than once: 'id'.* rename or delete"):
        rows("id,text,label,id\n1,a,x,2\n")


def test_a_quote_mark_takes_no_rows_in_where_all_columns_are_prose() -> None:
    told = [("fine", "a day"), ('"I never said', "b so"), ("so", "c is"), ('he did"', "d it")]
    content = "\n".join(",".join(row) for row in [("text", "label"), *told])
    assert [(row["text"], row["label"]) for row in rows(content)] == told
    assert [notice.line for notice in notices(content)] == [3]


def test_prose_over_several_lines_with_commas_is_one_cell() -> None:
    text = "One, two\nthree, four\nfive"
    assert rows(f'text,label\nhm,so it is\n"{text}",and so on\n')[1]["text"] == text


def test_lines_may_end_as_on_old_macs_but_for_the_last() -> None:
    assert rows("text,label\ra,x\rb,y\n")[1] == {"text": "b", "label": "y"}


def test_a_carriage_return_within_a_header_is_named() -> None:
    with pytest.raises(BadLine, match=r"Line 1 is malformed: .* contains a carriage return"):
        rows("text,label\ra,x\nb,y\n")


def test_a_first_line_of_any_width_is_read() -> None:
    assert list(rows(f"{'x' * 140_000},label\na,b\n")[0].values()) == ["a", "b"]


def test_a_backslash_in_a_cell_that_is_quoted_as_it_should_be_escapes_nothing() -> None:
    content = '"text"|"label"\n"an ""a|b \\"" \nq"|"x y"\n"c"|"z"\n'
    assert rows(content)[0] == {"text": 'an "a|b \\" \nq', "label": "x y"}
