"""Parquet files, read in a child with bounds."""

from __future__ import annotations

import io
import json
import resource
import tracemalloc
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainer.build import read_examples
from trainer.errors import BadDataset, BadLine
from trainer.jobs.values import JobSpec
from trainer.readers import parquet
from trainer.readers.example import Example
from trainer.readers.reader import read_records


def written(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_rows_are_records_numbered_from_one() -> None:
    content = written(pa.table({"text": ["a", "b"], "label": [1, 2]}))
    records = list(read_records(content, "rows.parquet"))
    assert [(r.place, r.fields) for r in records] == [
        ("Row 1", {"text": "a", "label": 1}), ("Row 2", {"text": "b", "label": 2}),
    ]  # fmt: skip


def test_a_row_that_cannot_be_used_is_named_as_a_row() -> None:
    content = written(pa.table({"text": ["a", None], "label": ["x", "y"]}))
    spec = JobSpec(tenant="t", task="t", file_id="f")
    with pytest.raises(BadLine, match="Row 2: text must be text, not None"):
        read_examples(read_records(content, "rows.parquet"), spec)


def test_numbered_labels_of_hugging_face_datasets_get_their_names() -> None:
    names = {"_type": "ClassLabel", "names": ["neg", "pos"]}
    features: dict[str, Any] = {"label": names, "tags": {"feature": names, "_type": "Sequence"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"label": [1, 0], "tags": [[0, 1], [1]]}).replace_schema_metadata(told)
    records = [record.fields for record in read_records(written(table), "rows.parquet")]
    assert records == [{"label": "pos", "tags": ["neg", "pos"]}, {"label": "neg", "tags": ["pos"]}]


@pytest.mark.parametrize("form", ["Sequence", "List", "LargeList", None])
def test_lists_of_numbered_labels_get_their_names_in_every_form_they_are_written(
    form: str | None,
) -> None:
    names = {"_type": "ClassLabel", "names": ["neg", "pos"]}
    feature = {"feature": names, "_type": form} if form else [names]
    told = {"huggingface": json.dumps({"info": {"features": {"tags": feature}}})}
    table = pa.table({"tags": [[0, 1], [1]]}).replace_schema_metadata(told)
    records = [record.fields for record in read_records(written(table), "rows.parquet")]
    assert records == [{"tags": ["neg", "pos"]}, {"tags": ["pos"]}]


@pytest.mark.parametrize(
    "told", ["no JSON", "[]", '{"info": null}', '{"info": {"features": [1, 2]}}', "{}"]
)
def test_other_words_beside_the_schema_do_no_harm(told: str) -> None:
    table = pa.table({"label": [1]}).replace_schema_metadata({"huggingface": told})
    assert next(read_records(written(table), "rows.parquet")).fields == {"label": 1}


def test_a_text_of_other_bytes_is_refused_with_its_reason() -> None:
    texts = pa.array([b"caf\xe9"]).view(pa.string())
    with pytest.raises(BadDataset, match="a text in it is not UTF-8"):
        list(read_records(written(pa.table({"text": texts})), "rows.parquet"))


@pytest.mark.survival("F2")
def test_a_small_file_that_says_a_great_deal_is_refused_by_its_count() -> None:
    table = pa.table({"label": pa.array([1] * 500_001, pa.int8())})
    content = written(table)
    assert len(content) < 100_000
    with pytest.raises(BadDataset, match="has 500001 rows; at most 500000 are read"):
        list(read_records(content, "rows.parquet"))


@pytest.mark.survival("F2")
def test_rows_that_unfold_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_MAX_BYTES", 10_000)
    content = written(pa.table({"text": ["x" * 1000] * 100}))
    with pytest.raises(BadDataset, match="more than 10000 bytes"):
        list(parquet.json_lines(io.BytesIO(content)))


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_only_begins_as_parquet_is_refused(content: bytes) -> None:
    with pytest.raises(BadDataset, match="Parquet file cannot be read"):
        list(read_records(content, "rows.parquet"))


def checked(table: pa.Table) -> list[Example]:
    spec = JobSpec(tenant="t", task="t", file_id="f")
    return read_examples(read_records(written(table), "rows.parquet"), spec)


def test_bytes_are_no_text() -> None:
    with pytest.raises(BadLine, match=r"Row 1: text must be text, not {'bytes': 1}"):
        checked(pa.table({"text": [b"a"], "label": ["x"]}))


def test_bytes_in_a_column_that_is_not_used_do_no_harm() -> None:
    table = pa.table({"text": ["a"], "label": ["x"], "image": [{"bytes": b"\xff", "path": "a"}]})
    assert checked(table)[0].label == "x"


def test_whole_numbers_in_a_column_of_floats_and_categories_are_labels() -> None:
    assert [row.label for row in checked(pa.table({"text": ["a", "b"], "label": [1.0, 0.0]}))] == [
        "1", "0",
    ]  # fmt: skip
    categories = pa.array(["x", "y"]).dictionary_encode()
    assert [row.label for row in checked(pa.table({"text": ["a", "b"], "label": categories}))] == [
        "x", "y",
    ]  # fmt: skip


def test_lists_of_labels_are_several_labels() -> None:
    assert checked(pa.table({"text": ["a"], "label": [["y", "x"]]}))[0].label == ("x", "y")


@pytest.mark.parametrize("labels", [[1, None], [1.0, float("nan")]])
def test_a_label_that_is_missing_is_named_by_its_row(labels: list[Any]) -> None:
    with pytest.raises(BadLine, match="Row 2: label"):
        checked(pa.table({"text": ["a", "b"], "label": labels}))


def test_the_label_of_an_unlabelled_row_is_no_class() -> None:
    names = {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}
    told = {"huggingface": json.dumps({"info": {"features": names}})}
    table = pa.table({"text": ["a", "b"], "label": [1, -1]}).replace_schema_metadata(told)
    with pytest.raises(BadLine, match=r"Row 2: label .* not None"):
        checked(table)


def test_a_column_that_occurs_twice_is_refused() -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(BadDataset, match="column 'text' more than once"):
        checked(table)


@pytest.mark.survival("F2", "H2")
def test_rows_are_given_as_they_are_read() -> None:
    """What a small file unfolds to is never in memory as a whole."""
    rows = parquet.read_parquet(written(pa.table({"text": ["a" * 60_000] * 2_000})))
    tracemalloc.start()
    assert sum(1 for _ in rows) == 2_000
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


def test_a_reader_with_a_lower_limit_of_its_parent_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[tuple[int, int]]()
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append(limits))
    parquet._limit(resource.RLIMIT_AS, 1000)
    assert asked == [(100, 100)]
