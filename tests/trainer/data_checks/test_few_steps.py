"""Few rows make few steps: smaller batches and more epochs, unless their owner chose otherwise."""

from __future__ import annotations

import pytest

from tests.trainer.build import pair_rows
from tests.trainer.data_checks.looking import codes, finding, look, moods
from trainer.settings.settings import TrainingSettings


@pytest.mark.parametrize(
    ("num_rows", "batch_rows", "epochs", "patience"),
    [(100, 8, 28, 9), (400, 8, 7, 2), (1000, 16, 6, 2), (1250, 16, 5, 2), (3000, 32, 5, 2)],
)
def test_a_batch_is_halved_before_epochs_are_added_until_there_are_enough_steps(
    num_rows: int, batch_rows: int, epochs: int, patience: int
) -> None:
    settings = look(moods(num_rows)).spec.settings
    assert (settings.batch_rows, settings.epochs, settings.patience) == (
        batch_rows, epochs, patience,
    )  # fmt: skip


@pytest.mark.parametrize(("num_rows", "batch_rows", "epochs"), [(250, 8, 5), (1000, 32, 5)])
def test_a_fast_training_has_enough_of_fewer_steps(
    num_rows: int, batch_rows: int, epochs: int
) -> None:
    settings = look(moods(num_rows), settings={"preset": "fast"}).spec.settings
    assert (settings.batch_rows, settings.epochs) == (batch_rows, epochs)


def test_what_changes_is_a_finding() -> None:
    found = finding("few_steps_recipe", moods(400))
    assert found.message == (
        "288 training rows would make only 45 optimizer steps, so batch_rows is 8, epochs is 7. "
        "Settings that are named are kept: `--set epochs=5`."
    )
    assert found.facts == {"settings": {"batch_rows": 8, "epochs": 7}}


def test_a_chosen_batch_and_chosen_epochs_stay() -> None:
    chosen = ("batch_rows", "epochs", "patience")
    spec = look(moods(100), chosen=chosen).spec
    assert spec.settings == TrainingSettings()
    only = look(moods(100), settings={"batch_rows": 16}, chosen=("batch_rows",)).spec.settings
    assert (only.batch_rows, only.epochs) == (16, 40)
    epochs = look(moods(100), settings={"epochs": 4}, chosen=("epochs",)).spec.settings
    assert (epochs.batch_rows, epochs.epochs, epochs.patience) == (8, 4, 2)


def test_the_batch_of_an_embedding_keeps_its_wrong_answers() -> None:
    spec = look(pair_rows(100), head="embed").spec
    assert spec.settings.batch_rows == 32
    assert spec.settings.epochs > 5


def test_texts_to_generate_are_trained_as_the_settings_say() -> None:
    rows = [{"text": f"say {i}", "label": f"word{i} word{i}"} for i in range(100)]
    assert "few_steps_recipe" not in codes(rows, head="generate", chosen=("kind",))


def test_a_head_that_is_trained_alone_keeps_its_own_recipe() -> None:
    settings = look(moods(40)).spec.settings
    assert (settings.epochs, settings.patience, settings.batch_rows) == (60, 10, 32)
