"""The public face of the client's values: their names, old ones, and their shape as JSON."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import pkgutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapterd import Client, values
from adapterd.errors import RowFailed
from engine.testing.fake_engine import write_fake_adapter
from tests.client.conftest import RunningServer

PUBLIC = {
    "Alias", "AliasEvent", "AuditEvent", "Classification", "Completion", "CompletionChunk",
    "ComposedAdapter", "Embedding", "Entity", "Erasure", "Estimate", "File", "FileCheck",
    "Finding", "Job", "JobEvent", "Lineage", "Output", "Prediction", "Predictions",
    "PresetEstimate", "Question", "Relevance", "ReportLink", "Result", "RowError", "Sample",
    "Span", "Tags", "Task", "TaskError", "Timing", "TokenLogprob", "Value", "Version",
}  # fmt: skip
RENAMED = {
    "Composed": values.ComposedAdapter,
    "Piece": values.CompletionChunk,
    "WrittenText": values.Completion,
    "WrittenToken": values.TokenLogprob,
}


def test_the_public_names_of_the_values_are_exactly_these() -> None:
    assert set(values.__all__) == PUBLIC


def test_every_class_of_the_folder_is_exported() -> None:
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(values.__path__, "adapterd.values.")
    ]
    classes = {
        name
        for module in modules
        for name, member in vars(module).items()
        if isinstance(member, type) and member.__module__ == module.__name__
    }
    assert classes
    assert classes <= set(values.__all__)


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_a_name_of_the_last_release_still_works_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"adapterd.values.{name} is now"):
        assert getattr(values, name) is RENAMED[name]


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Wrong'"):
        _ = values.Wrong


# ---------------------------------------------------------------- to_dict, the shape of HTTP

HEADS: dict[str, tuple[dict[str, Any], Any]] = {
    "classify": ({"kind": "classify", "labels": ["a", "b"]}, "a text"),
    "several": (
        {"kind": "classify", "labels": ["a", "b"], "multi_label": True, "threshold": 0.0},
        "a text",
    ),
    "no label": (
        {"kind": "classify", "labels": ["a", "b"], "multi_label": True, "threshold": 1.0},
        "a text",
    ),
    "tag": ({"kind": "tag", "labels": ["O", "B-x", "I-x"]}, "a text"),
    "regress": ({"kind": "regress", "mean": 0.0, "std": 1.0}, "a text"),
    "span": (
        {"kind": "span", "no_answer": False},
        {"question": "who?", "context": "Zoe is here"},
    ),
    "embed": ({"kind": "embed"}, "a text"),
    "rerank": ({"kind": "rerank"}, {"text": "a", "text_pair": "b"}),
    "failed": ({"kind": "classify", "labels": ["a", "b"]}, ""),
}


def over_http(server: RunningServer, method: str, path: str, **body: Any) -> Any:
    url = f"http://127.0.0.1:{server.ports.http}{path}"
    answer = httpx.request(method, url, trust_env=False, **body)
    return answer.raise_for_status().json()


@pytest.mark.parametrize("name", HEADS)
def test_a_prediction_as_a_dict_is_the_answer_of_http(
    client: Client, server: RunningServer, tmp_path: Path, name: str
) -> None:
    head, item = HEADS[name]
    task = f"shape-{name.replace(' ', '-')}"
    client.register(task, write_fake_adapter(tmp_path / "a", head=head))
    ours = client.predict(task, [item]).to_dict()
    theirs = over_http(server, "POST", f"/v1/tasks/{task}/predict", json={"inputs": [item]})
    assert set(ours.pop("timing")) == set(theirs.pop("timing"))
    for output in (*ours["outputs"], *theirs["outputs"]):
        if "embedding" in output:  # the client has the numbers as float32
            output["embedding"] = pytest.approx(output["embedding"], abs=1e-7)
    assert json.loads(json.dumps(ours, default=lambda approximate: approximate.expected)) == theirs


def test_a_generated_text_as_a_dict_is_the_answer_of_http(
    client: Client, server: RunningServer, tmp_path: Path
) -> None:
    client.register("writes", write_fake_adapter(tmp_path / "a", head={"kind": "generate"}))
    options = {"max_tokens": 3, "logprobs": 2}
    ours = client.predict("writes", "a text", **options).outputs[0].to_dict()
    call = {"inputs": ["a text"], "parameters": options}
    (theirs,) = over_http(server, "POST", "/v1/tasks/writes/predict", json=call)["outputs"]
    assert theirs["logprobs"]
    for counts in (ours["usage"], theirs["usage"]):
        del counts["cached_tokens"]  # the second call finds the prompt of the first
    assert ours == theirs


def test_tasks_versions_and_aliases_as_dicts_are_those_of_http(
    client: Client, server: RunningServer, tmp_path: Path
) -> None:
    head = {"kind": "classify", "labels": ["a", "b"]}
    version = client.register("listed", write_fake_adapter(tmp_path / "a", head=head))
    assert client.task("listed").to_dict() == over_http(server, "GET", "/v1/tasks/listed")
    found = over_http(server, "GET", "/v1/tasks/listed/versions/1")
    assert version.to_dict() == found


def test_the_results_of_several_tasks_as_a_dict_are_those_of_http(
    client: Client, server: RunningServer, tmp_path: Path
) -> None:
    head = {"kind": "classify", "labels": ["a", "b"]}
    client.register("one", write_fake_adapter(tmp_path / "a", head=head))
    ours = client.predict_many(["one", "one@1"], "a text").to_dict()
    call = {"tasks": ["one", "one@1"], "input": "a text"}
    assert ours["results"] == over_http(server, "POST", "/v1/predict", json=call)["results"]


def test_an_error_of_a_row_says_why_it_has_no_label() -> None:
    error = values.RowError(code="empty_input", message="The input is empty.")
    with pytest.raises(AttributeError, match=r"no 'label': The input is empty. \[empty_input\]"):
        _ = error.label
    assert copy.deepcopy(error) == pickle.loads(pickle.dumps(error)) == error


def test_raise_for_errors_counts_the_inputs_without_an_answer() -> None:
    timing = values.Timing(tokenize_ms=0, queue_ms=0, compute_ms=0, total_ms=0)
    error = values.RowError(code="empty_input", message="The input is empty.")
    outputs = (values.Value(value=1.0), error, error)
    made = values.Prediction(task="t", version=1, digest="d", outputs=outputs, timing=timing)
    assert list(made.errors) == [1, 2]
    with pytest.raises(RowFailed, match="2 of 3 inputs have no answer; the first is input 1: The"):
        made.raise_for_errors()
    with pytest.warns(DeprecationWarning, match="is now raise_for_errors"), suppress(RowFailed):
        made.raise_for_rows()
