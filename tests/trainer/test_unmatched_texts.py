"""An epoch that writes nothing right is not published in silence while its loss is near 0."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.config import EngineConfig
from engine.runtime.in_thread import ThreadEngine
from tests.trainer.build import TENANT, TrainerEnv
from trainer.evaluation.evaluate import Evaluation, dev_score
from trainer.jobs.states import Status
from trainer.jobs.values import JobSpec
from trainer.pipeline.evaluated_experiment import EvaluatedExperiment
from trainer.pipeline.prepare import Prepared
from trainer.training.experiment import ExperimentResult
from trainer.training.loop_state import Epoch

THINKS = Path(__file__).parents[3] / "shared" / "cases" / "s01-think-template"


def written(exact: float, words: float) -> Evaluation:
    return Evaluation(
        metrics={"exact_match": exact, "word_f1": words}, loss=None, answers=[], predictions=[]
    )


def test_while_nothing_is_right_the_epoch_with_the_lower_loss_is_the_better() -> None:
    head = {"kind": "generate"}
    first, last = (dev_score(head, written(0, 0), loss) for loss in (3.0, 0.1))
    some = dev_score(head, written(0, 0.2), 2.0)
    whole = dev_score(head, written(0.5, 0.1), 2.5)
    assert first < last < some < whole


def test_once_something_is_right_a_lower_loss_alone_is_no_improvement() -> None:
    head = {"kind": "generate"}
    assert dev_score(head, written(1, 1), 0.5) == dev_score(head, written(1, 1), 0.1)


@pytest.mark.parametrize(
    ("exact", "lowest", "codes"),
    [(0, 0.02, ["unmatched_texts"]), (0.1, 0.02, []), (0, 1.5, []), (None, 0.02, [])],
)
def test_text_that_is_learned_and_never_written_so_is_a_finding(
    exact: float | None, lowest: float, codes: list[str]
) -> None:
    dev = {"accuracy": 0.0} if exact is None else {"exact_match": exact}
    epochs = [
        Epoch(number=1, loss=4.0, dev=dev, best=True),
        Epoch(number=2, loss=lowest, dev=dev, best=False),
    ]
    best_run = SimpleNamespace(
        dev_metrics=dev,
        state=SimpleNamespace(epochs=epochs),
        run_config=SimpleNamespace(train=[], dev=[SimpleNamespace(truncated=False)] * 2),
        spec=JobSpec(tenant=TENANT, task="t", file_id="f", head="generate"),
    )
    experiment = SimpleNamespace(best_run=best_run, outcomes=[best_run])
    evaluated = EvaluatedExperiment(
        prepared=cast(Prepared, SimpleNamespace(findings=[])),
        head={}, test_rows=[], tests=[written(0, 0)],
        experiment=cast(ExperimentResult, experiment),
    )  # fmt: skip
    assert [each.code for each in evaluated.training_findings] == codes


@pytest.mark.slow
@pytest.mark.skipif(not THINKS.is_dir(), reason="the shared cases are not there")
def test_a_base_whose_template_thinks_in_the_last_answer_learns_to_write(tmp_path: Path) -> None:
    config = EngineConfig(base=str(THINKS / "base"), dtype="float32", threads=1, num_slots=4)
    engine = ThreadEngine(config)
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    settings: dict[str, Any] = {
        "epochs": 10, "patience": 10, "rank": 16, "learning_rate": 1e-2, "layers": 3,
    }  # fmt: skip
    content = (THINKS / "think.jsonl").read_bytes()
    job = trainer_env.trainer.submit(trainer_env.spec(content, head="generate", settings=settings))
    assert trainer_env.trainer.run_once()
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.error_message) == (Status.SUCCEEDED, None)
    assert job.result["metrics"]["test"]["exact_match"] == 1
    trainer_env.close()
    engine.close()
