"""CoNLL as treebanks, shared tasks and taggers write it: numbers, comments, other letters."""

from __future__ import annotations

import pytest

from tests.trainer.build import read_examples
from trainer.errors import BadLine
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example
from trainer.readers.reader import read_records


def tagged(content: str) -> list[Example]:
    spec = JobSpec(tenant="t", task="t", file_id="f", head="tag")
    return read_examples(read_records(content.encode(), "rows.conll"), spec)


def pairs(content: str, filename: str = "rows.conll") -> list[list[tuple[str, str]]]:
    records = read_records(content.encode(), filename)
    return [list(zip(r.fields["tokens"], r.fields["ner_tags"], strict=True)) for r in records]


ANN = [("Ann", "B-per"), ("ran", "O")]


@pytest.mark.parametrize("comment", ["# id 7 domain=en", "# text = Ann ran", "#\thttp://x\t[2009]"])
def test_comments_are_no_tokens(comment: str) -> None:
    assert pairs(f"{comment}\nAnn _ _ B-per\nran _ _ O\n\n{comment}\nran _ _ O\n") == [ANN, ANN[1:]]


def test_hashtags_are_tokens() -> None:
    assert pairs("#ann\tB-per\nran\tO\n#\tO\n") == [[("#ann", "B-per"), ("ran", "O"), ("#", "O")]]


def test_a_column_that_counts_is_no_token() -> None:
    content = "# sent_id = 1\n1\tAnn\tB-per\t-\t-\n2\tran\tO\t-\t-\n\n1\tran\tO\t-\t-\n"
    assert pairs(content) == [ANN, ANN[1:]]


def test_ranges_and_unsaid_words_are_left_to_their_words() -> None:
    content = "1-2\tdu\t_\n1\tde\tO\n2\tle\tO\n2.1\tx\t_\n3\tMans\tB-loc\n"
    assert pairs(content) == [[("de", "O"), ("le", "O"), ("Mans", "B-loc")]]


def test_a_range_that_is_tagged_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 1 tags the multiword token 1-2 'du'"):
        tagged("1-2\tdu\tB-loc\n1\tde\tO\n2\tle\tO\n")


def test_numbers_that_do_not_count_are_tokens() -> None:
    assert pairs("1 CD O\n1 CD B-num\n")[0] == [("1", "O"), ("1", "B-num")]


def test_spaces_within_a_number_do_not_part_it() -> None:
    assert pairs("10\u00a0000 B-num\nmen O\n")[0][0] == ("10\u00a0000", "B-num")


def test_a_line_with_more_columns_than_others_is_named() -> None:
    with pytest.raises(
        BadLine, match="Line 2 has 3 columns, and the first line with a token has 2"
    ):
        tagged("Ann B-per\nNew York B-loc\n")


@pytest.mark.parametrize(
    "lines", ["-DOCSTART- -X- -X- O\n\n", "-DOCSTART- (1)\tO\n\n", "\ufeff-DOCSTART-\n"]
)
def test_beginnings_of_documents_are_no_tokens(lines: str) -> None:
    assert pairs(f"{lines}Ann NNP B-NP B-per\nran VBD B-VP O\n") == [ANN]


@pytest.mark.parametrize("filename", ["train.txt", "eng.train", "train.tsv", "train.conllu"])
def test_files_of_tags_are_told_by_what_is_in_them(filename: str) -> None:
    assert pairs("Ann\tB-per\nran\tO\n", filename) == [ANN]


@pytest.mark.parametrize("tags", ["B-p L-p U-p O", "B-p E-p S-p O"])
def test_bilou_is_bioes_in_other_letters(tags: str) -> None:
    content = "".join(f"w{i}\t{tag}\n" for i, tag in enumerate(tags.split()))
    assert tagged(content)[0].label == ("B-p", "E-p", "S-p", "O")


def test_a_file_of_bilou_may_begin_with_a_hashtag() -> None:
    content = "#ann\tO\nNew York\tU-loc\n"
    assert pairs(content, "rows.tsv") == [[("#ann", "O"), ("New York", "U-loc")]]


def test_bmes_is_bioes_in_other_letters() -> None:
    assert tagged("a\tB-p\nb\tM-p\nc\tE-p\n")[0].label == ("B-p", "I-p", "E-p")


def test_a_tag_of_no_scheme_is_named_with_its_word() -> None:
    with pytest.raises(BadLine, match="the tag 'per' of 'Ann' is no tag of BIO"):
        tagged("Ann\tper\nran\tO\n")
