"""`adapterd settings` lists every setting with its default, its range and its meaning."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adapterd.cli.app import build
from server.config import Settings
from trainer.settings.settings import TrainingSettings


def listed(of: str) -> dict[str, dict[str, object]]:
    ran = CliRunner().invoke(build(), ["settings", of, "--json"])
    assert ran.exit_code == 0, ran.output
    return {setting["name"]: setting for setting in json.loads(ran.stdout)}


def test_every_setting_is_listed_with_a_meaning() -> None:
    for of, model in (("serve", Settings), ("train", TrainingSettings)):
        found = listed(of)
        assert list(found) == list(model.model_fields)
        assert all(setting["meaning"] for setting in found.values())


@pytest.mark.parametrize(
    ("of", "name", "default", "values"),
    [
        ("train", "epochs", 5, "1 to 200"),
        ("train", "schedule", "linear", "linear, cosine, constant"),
        ("train", "learning_rate", None, "1e-08 to 1"),
        ("serve", "num_slots", 1024, "at least 1"),
        ("serve", "drain_s", 30.0, "at least 0"),
        ("serve", "idle_timeout_s", 75.0, "above 0"),
        ("serve", "train", True, "true, false"),
        ("serve", "http_port", 8000, "0 to 65,535"),
    ],
)
def test_a_setting_has_its_default_and_what_it_may_be(
    of: str, name: str, default: object, values: str
) -> None:
    setting = listed(of)[name]
    assert (setting["default"], setting["values"]) == (default, values)


def test_settings_of_something_else_are_a_wrong_use() -> None:
    assert CliRunner().invoke(build(), ["settings", "predict"]).exit_code == 2
