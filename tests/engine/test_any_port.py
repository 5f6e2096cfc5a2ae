"""One contract for every engine behind the port: in a process, in a thread, and the fake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import port
from engine.errors import BadAdapter, BadCheckpoint, CheckpointFailed, EngineError, NotLoaded
from engine.heads import HEADS
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from engine.runtime.supervisor import SupervisedEngine
from engine.testing.fake_engine import FakeEngine
from tests.engine.rows import HEAD, IDS, answers, ask, load, open_training, save, train

ENGINES = ("process_engine", "thread_engine", "fake")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[EnginePort]:
    """An engine that holds nothing, and holds nothing afterwards."""
    engine: EnginePort = (
        FakeEngine() if request.param == "fake" else request.getfixturevalue(request.param)
    )
    yield engine
    held = ask(engine, port.Stats())
    for slot in held.training:
        ask(engine, port.CloseTraining(slot=slot))
    for digest in held.loaded:
        ask(engine, port.Unload(digest=digest))


@pytest.fixture
def directory(engine: EnginePort, tmp_path: Path) -> Path:
    """A version directory this engine trained and saved."""
    slot = open_training(engine)
    train(engine, slot, 5)
    save(engine, slot, tmp_path / "version")
    ask(engine, port.CloseTraining(slot=slot))
    return tmp_path / "version"


def test_an_engine_says_what_it_is(engine: EnginePort) -> None:
    info = engine.info
    assert {"classify", "tag", "regress"} <= set(info.poolings) <= set(HEADS)
    assert len(info.fingerprint) == 64
    assert info.num_slots >= 4
    assert engine.generation >= 1
    assert engine.is_alive


def test_a_row_of_the_bare_base_answers_hidden_states(engine: EnginePort) -> None:
    shapes = [answer.shape for answer in answers(engine, slot=0)]
    assert shapes == [(len(ids), engine.info.hidden_size) for ids in IDS]


def test_training_lowers_the_loss(engine: EnginePort) -> None:
    losses = train(engine, open_training(engine), 20)
    assert losses[-1] < losses[0] * 0.9


def test_a_saved_version_answers_as_its_training_slot_did(
    engine: EnginePort, tmp_path: Path
) -> None:
    slot = open_training(engine)
    train(engine, slot, 5)
    trained = answers(engine, slot)
    save(engine, slot, tmp_path / "version")
    load(engine, tmp_path / "version", "d1")
    for ours, theirs in zip(trained, answers(engine, 1, {1: "d1"}), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_same_training_gives_the_same_version(engine: EnginePort, tmp_path: Path) -> None:
    for name in ("first", "second"):
        slot = open_training(engine)
        train(engine, slot, 3)
        save(engine, slot, tmp_path / name)
    first, second = (tmp_path / n / "adapter_model.safetensors" for n in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_what_was_saved_is_what_inspecting_finds(engine: EnginePort, tmp_path: Path) -> None:
    saved = save(engine, open_training(engine), tmp_path)
    inspected = ask(engine, port.Inspect(directory=str(tmp_path), head=HEAD))
    assert inspected.semantics["head"] == saved.semantics["head"] == HEAD
    assert inspected.files == saved.files
    assert inspected.num_parameters > 0


def test_restoring_goes_back_to_the_snapshot(engine: EnginePort) -> None:
    slot = open_training(engine)
    train(engine, slot, 3)
    ask(engine, port.Snapshot(slot=slot))
    best = answers(engine, slot)
    train(engine, slot, 3)
    ask(engine, port.Restore(slot=slot))
    for ours, theirs in zip(best, answers(engine, slot), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_an_average_is_the_mean_of_the_weights_of_trainings(engine: EnginePort) -> None:
    slots = [open_training(engine) for _ in range(2)]
    for number, slot in enumerate(slots):
        train(engine, slot, 2 + number)
    mean = open_training(engine)
    ask(engine, port.Average(slot=mean, slots=slots[:1]))
    for ours, theirs in zip(answers(engine, mean), answers(engine, slots[0]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    ask(engine, port.Average(slot=mean, slots=slots))
    first, second = (answers(engine, slot) for slot in slots)
    for ours, *theirs in zip(answers(engine, mean), first, second, strict=True):
        low, high = np.minimum(*theirs), np.maximum(*theirs)
        assert (low - 1e-6 <= ours).all()
        assert (ours <= high + 1e-6).all()


def test_a_slot_opened_from_a_checkpoint_goes_on_as_the_one_that_wrote_it(
    engine: EnginePort, tmp_path: Path
) -> None:
    slot = open_training(engine)
    train(engine, slot, 3)
    told = ask(engine, port.Checkpoint(slot=slot, directory=str(tmp_path / "checkpoint")))
    resumed = open_training(engine, resume=str(tmp_path / "checkpoint"))
    assert told.num_steps == 3
    assert train(engine, resumed, 2) == train(engine, slot, 2)
    for ours, theirs in zip(answers(engine, slot), answers(engine, resumed), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_slot_cannot_be_opened_from_what_is_no_checkpoint(
    engine: EnginePort, tmp_path: Path
) -> None:
    with pytest.raises(BadCheckpoint):
        open_training(engine, resume=str(tmp_path))
    assert ask(engine, port.Stats()).training == []


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_and_the_slot_learns_on(
    engine: EnginePort, tmp_path: Path
) -> None:
    slot = open_training(engine)
    with pytest.raises(CheckpointFailed):
        ask(engine, port.Checkpoint(slot=slot, directory=str(tmp_path / "nowhere" / "checkpoint")))
    assert list(tmp_path.iterdir()) == []
    assert len(train(engine, slot, 1)) == 1


def test_stats_name_what_is_loaded_placed_and_training(engine: EnginePort, directory: Path) -> None:
    num_bytes = load(engine, directory, "d1")
    answers(engine, 2, {2: "d1"})
    slot = open_training(engine)
    held = ask(engine, port.Stats())
    assert (held.loaded, held.placed, held.training) == ({"d1": num_bytes}, {2: "d1"}, [slot])


@pytest.mark.parametrize("step", [port.Unload(digest="d1"), port.Evict(slots=[1])])
def test_what_was_unloaded_or_evicted_answers_no_more(
    engine: EnginePort, directory: Path, step: port.Step
) -> None:
    load(engine, directory, "d1")
    answers(engine, 1, {1: "d1"})
    ask(engine, step)
    with pytest.raises(NotLoaded):
        answers(engine, 1)


def test_unloading_and_closing_what_is_not_there_is_no_error(engine: EnginePort) -> None:
    assert ask(engine, port.Unload(digest="none")) == port.Done()
    assert ask(engine, port.CloseTraining(slot=9999)) == port.Done()


@pytest.mark.parametrize(
    "step",
    [
        port.Predict(rows=[], place={1: "never loaded"}),
        port.Predict(rows=[port.Row.of(ids=[0, 2], slot=3)]),
        port.Snapshot(slot=9999),
        port.Train(slot=9999, rows=[], keys=[], targets=[], learning_rate=0.1, step=0),
    ],
    ids=["digest", "slot", "snapshot", "train"],
)
def test_a_step_on_what_is_not_there_raises_not_loaded(engine: EnginePort, step: port.Step) -> None:
    with pytest.raises(NotLoaded):
        ask(engine, step)


def test_a_slot_beyond_the_last_is_refused(engine: EnginePort, directory: Path) -> None:
    load(engine, directory, "d1")
    with pytest.raises(NotLoaded, match="slots 1 to"):
        answers(engine, 1, {engine.info.num_slots + 1: "d1"})


def test_a_directory_without_an_adapter_is_a_bad_adapter(
    engine: EnginePort, tmp_path: Path
) -> None:
    with pytest.raises(BadAdapter):
        ask(engine, port.Inspect(directory=str(tmp_path)))


def test_a_version_whose_file_is_gone_is_a_bad_adapter(engine: EnginePort, directory: Path) -> None:
    (directory / "adapter_model.safetensors").rename(directory / "elsewhere")
    step = port.Load(
        digest="d1",
        semantics={"head": HEAD},
        files=[
            port.File(role="config", path=str(directory / "adapter_config.json")),
            port.File(role="adapter", path=str(directory / "adapter_model.safetensors")),
        ],
    )
    with pytest.raises(BadAdapter, match=r"the adapter file (is gone|cannot be read)"):
        ask(engine, step)


def test_a_row_without_tokens_fails_alone(engine: EnginePort, directory: Path) -> None:
    load(engine, directory, "d1")
    rows = [port.Row.of(ids=IDS[0], slot=1), port.Row.of(ids=[], slot=1)]
    first, second = ask(engine, port.Predict(rows=rows, place={1: "d1"})).rows
    assert isinstance(first, port.Array)
    assert second.code == "bad_row"


def test_many_steps_submitted_at_once_are_answered_in_their_own_futures(engine: EnginePort) -> None:
    futures = [engine.submit(port.Predict(rows=[port.Row.of(ids=[0] * n)])) for n in range(1, 30)]
    lengths = [future.result(30).rows[0].shape[0] for future in futures]  # type: ignore[union-attr]
    assert lengths == list(range(1, 30))


def test_a_step_that_failed_leaves_the_engine_as_it_was(
    engine: EnginePort, directory: Path
) -> None:
    load(engine, directory, "d1")
    before = answers(engine, 1, {1: "d1"})
    with pytest.raises(EngineError):
        ask(engine, port.Snapshot(slot=9999))
    for ours, theirs in zip(before, answers(engine, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_process_and_a_thread_give_the_same_answers(
    process_engine: SupervisedEngine, thread_engine: ThreadEngine, tmp_path: Path
) -> None:
    found: list[Any] = []
    for engine in (process_engine, thread_engine):
        slot = open_training(engine)
        losses = train(engine, slot, 3)
        found.append((losses, [*answers(engine, 0), *answers(engine, slot)]))
        ask(engine, port.CloseTraining(slot=slot))
    assert found[0][0] == pytest.approx(found[1][0])
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
