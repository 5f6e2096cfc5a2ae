"""The public face of the client's values: which names there are, and which old ones still work."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from adapterd import values

PUBLIC = {
    "Alias", "AliasEvent", "Classification", "Completion", "CompletionChunk", "ComposedAdapter",
    "Embedding", "Entity", "Estimate", "File", "FileCheck", "Finding", "Job", "JobEvent", "Output",
    "Prediction", "Predictions", "Question", "Relevance", "RowError", "Sample", "Span", "Tags",
    "Task", "TaskError", "Timing", "TokenLogprob", "Value", "Version",
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
