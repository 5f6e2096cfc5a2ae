"""The examples in the docstrings of the client run as they stand."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pandas
import pytest

from adapterd import Client, values
from adapterd.values.columns import to_columns

#: the modules whose docstrings have examples
MODULES = (
    "adapterd.client.client",
    "adapterd.client.job_client",
    "adapterd.values.columns",
    "adapterd.values.predictions",
    "adapterd.values.result",
)
SETTINGS = {"learning_rate": 0.5, "epochs": 20, "patience": 20, "seeds": 1}


def test_every_module_with_an_example_is_run() -> None:
    root = Path(__file__).parents[2]
    paths = [path for path in (root / "adapterd").rglob("*.py") if ">>> " in path.read_text()]
    names = {".".join(path.relative_to(root).with_suffix("").parts) for path in paths}
    assert names == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(
    client: Client, rows: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    if "mood" not in [task.task for task in client.tasks()]:
        client.train("mood", rows, head="classify", settings=SETTINGS, promote=True)
    names = {**vars(values), "to_columns": to_columns, "client": client, "pandas": pandas}
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(module, globs=names):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0
