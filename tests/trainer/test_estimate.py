"""What a job would take, told before it is queued."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.port import Result, Step, Train
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from tests.trainer.test_trainer import assert_clean
from trainer.errors import BadDataset, BadSetting, Busy
from trainer.jobs.states import Status
from trainer.pipeline.estimate import estimate
from trainer.pipeline.prepare import prepare
from trainer.pipeline.sample import take_sample


class Paced(FakeEngine):
    """By its own clock every training step takes as long as its rows are long."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held: threading.Event | None = None

    def clock(self) -> float:
        return self.now

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train):
            self.now += sum(len(row.ids) for row in step.rows) * 1e-3
            if self.held is not None:
                self.held.wait(10)
        return FakeEngine.submit(self, step)


def test_steps_tokens_and_rows_are_those_of_the_job(trainer_env: TrainerEnv) -> None:
    settings = {"epochs": 4, "batch_rows": 8, "seeds": 2, "patience": 99}
    spec = trainer_env.spec(jsonl(mood_rows(100)), settings=settings)
    found = trainer_env.trainer.estimate(spec)
    assert found.rows == {"train": 72, "dev": 8, "test": 20}
    assert found.steps == 2 * 4 * 9
    assert found.tokens % (2 * 4) == 0
    assert found.tokens > 72 * 8
    assert found.basis == "measured"


def test_trials_further_seeds_and_the_learning_curve_are_counted(trainer_env: TrainerEnv) -> None:
    search = {"trials": 3, "halving": False, "space": {"rank": [4, 16]}}
    settings = {"epochs": 4, "batch_rows": 8, "seeds": 2, "search": search, "learning_curve": True}
    found = trainer_env.trainer.estimate(trainer_env.spec(jsonl(mood_rows(100)), settings=settings))
    runs = 3 + 1 + 2  # each share of the rows takes as many steps as all of them
    assert found.steps == runs * 4 * 9


def test_a_prompt_is_estimated_without_training(trainer_env: TrainerEnv) -> None:
    trainer = trainer_env.trainer
    sample = trainer._checks.sample(trainer_env.spec(jsonl(mood_rows())))
    prompt = replace(sample, spec={**sample.spec, "kind": "prompt"})
    found = estimate(prompt, trainer_env.port, trainer._tools.tokenizer)
    assert (found.steps, found.seconds, found.basis) == (0, 0.0, "no training")


def test_nothing_is_queued_and_the_slot_is_given_back(trainer_env: TrainerEnv) -> None:
    trainer_env.trainer.estimate(trainer_env.spec(jsonl(mood_rows())))
    assert trainer_env.trainer.list(TENANT) == []
    assert_clean(trainer_env)


def test_memory_is_that_of_the_parameters_that_are_trained(trainer_env: TrainerEnv) -> None:
    found = trainer_env.trainer.estimate(trainer_env.spec(jsonl(mood_rows())))
    assert found.trainable_parameters > 0
    assert found.slot_bytes == 4 * found.trainable_parameters
    assert found.optimizer_bytes == 20 * found.trainable_parameters


def test_the_time_of_every_preset_is_told_for_the_same_rows(trainer_env: TrainerEnv) -> None:
    port = Paced()
    spec = trainer_env.spec(jsonl(mood_rows(300)), settings={"preset": "fast", "epochs": 6})
    tokenizer = Tokenizer(port.info.tokenizer_json, port.info.max_tokens)
    sample = take_sample(prepare(trainer_env.files, spec, tokenizer), port.info, tokenizer)
    found = estimate(replace(sample, reading_s=0.0), port, tokenizer, port.clock)
    assert [each.preset for each in found.presets] == ["fast", "balanced", "thorough"]
    assert [each.chosen for each in found.presets] == [True, False, False]
    fast, balanced, thorough = (each.seconds for each in found.presets)
    assert fast == found.seconds
    assert balanced == pytest.approx(fast, rel=0.1)  # the fake's steps do not depend on depth
    assert thorough == pytest.approx(3 * balanced, rel=0.1)  # of three seeds


def test_a_preset_that_does_not_fit_what_the_caller_named_is_left_out(
    trainer_env: TrainerEnv,
) -> None:
    settings = {"targets": ["layer.0.attention.self.query"]}
    found = trainer_env.trainer.estimate(trainer_env.spec(jsonl(mood_rows(300)), settings=settings))
    assert [each.preset for each in found.presets] == ["balanced", "thorough"]


def test_the_time_is_about_what_the_job_then_takes(tmp_path: Path) -> None:
    port = Paced()
    trainer_env = TrainerEnv(directory=tmp_path, port=port)
    settings = {"epochs": 6, "batch_rows": 16, "patience": 99, "seeds": 2}
    spec = trainer_env.spec(jsonl(mood_rows(300)), settings=settings)
    tokenizer = Tokenizer(port.info.tokenizer_json, port.info.max_tokens)
    prepared = prepare(trainer_env.files, spec, tokenizer)
    sample = take_sample(prepared, port.info, tokenizer, port.clock)
    found = estimate(sample, port, tokenizer, port.clock)
    port.now = 0.0
    job = trainer_env.trainer.submit(spec)
    trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    assert found.seconds == pytest.approx(port.now, rel=0.1)
    trainer_env.close()


@pytest.mark.parametrize(
    ("given", "error"),
    [({"kind": "magic"}, BadSetting), ({"text_column": "nothing"}, BadDataset)],
)
def test_what_would_be_refused_is_refused_unmeasured(
    trainer_env: TrainerEnv, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        trainer_env.trainer.estimate(trainer_env.spec(jsonl(mood_rows()), **given))
    assert_clean(trainer_env)


def test_one_is_measured_at_a_time(tmp_path: Path) -> None:
    port = Paced()
    trainer_env = TrainerEnv(directory=tmp_path, port=port)
    port.held = threading.Event()
    spec = trainer_env.spec(jsonl(mood_rows()))
    thread = threading.Thread(target=trainer_env.trainer.estimate, args=(spec,))
    thread.start()
    while not trainer_env.trainer._measuring.locked():
        time.sleep(0.005)
    with pytest.raises(Busy):
        trainer_env.trainer.estimate(spec)
    port.held.set()
    thread.join(10)
    assert trainer_env.trainer.estimate(spec).steps > 0
    trainer_env.close()


def test_a_search_counts_its_trials_and_halving_makes_them_fewer(trainer_env: TrainerEnv) -> None:
    def steps(**search: Any) -> int:
        settings = {"epochs": 4, "batch_rows": 8, "seeds": 2, "search": {"trials": 6, **search}}
        spec = trainer_env.spec(jsonl(mood_rows(100)), settings=settings)
        return trainer_env.trainer.estimate(spec).steps

    alone = trainer_env.spec(
        jsonl(mood_rows(100)), settings={"epochs": 4, "batch_rows": 8, "seeds": 2}
    )
    whole = steps(halving=False, space={"learning_rate": [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4]})
    assert whole == (6 + 1) * 4 * 9
    assert trainer_env.trainer.estimate(alone).steps < steps(halving=True) < whole
