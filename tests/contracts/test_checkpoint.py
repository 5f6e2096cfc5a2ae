"""A checkpoint of a training slot: what goes on from it is what would have gone on, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import port
from tests.contracts.cases import Case, params
from tests.contracts.engine_under_test import ROWS, EngineUnderTest, targets

MakeBench = Callable[..., EngineUnderTest]
BERT = Case("bert", "lora", "classify", "native")
DROPPING = {"dropout": 0.2, "head_dropout": 0.1}


def step(under_test: EngineUnderTest, case: Case, slot: int, number: int) -> float:
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS[: len(targets(case))]]
    asked = port.Train(
        slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
        learning_rate=0.01 / (1 + number), step=number,
    )  # fmt: skip
    return float(under_test.ask(asked).loss)


def saved(
    under_test: EngineUnderTest, slot: int, directory: Path
) -> tuple[dict[str, bytes], list[str]]:
    directory.mkdir()
    told = under_test.ask(port.Save(slot=slot, directory=str(directory)))
    return {file.name: file.read_bytes() for file in directory.iterdir()}, told.unmoved


def checkpointed(under_test: EngineUnderTest, case: Case, directory: Path) -> int:
    """A slot that took three steps, remembered the second, and wrote a checkpoint."""
    slot = under_test.open(case, **DROPPING)
    step(under_test, case, slot, 0)
    step(under_test, case, slot, 1)
    under_test.ask(port.Snapshot(slot=slot))
    step(under_test, case, slot, 2)
    told = under_test.ask(port.Checkpoint(slot=slot, directory=str(directory)))
    assert told.num_steps == 3
    assert told.num_bytes == sum(file.stat().st_size for file in directory.iterdir())
    return slot


@pytest.mark.parametrize("case", params())
def test_training_that_goes_on_from_a_checkpoint_equals_training_that_never_stopped(
    make_engine: MakeBench, case: Case, tmp_path: Path
) -> None:
    under_test = make_engine(case.family)
    whole = checkpointed(under_test, case, tmp_path / "checkpoint")
    resumed = under_test.open(case, **DROPPING, resume=str(tmp_path / "checkpoint"))
    losses = [[step(under_test, case, slot, n) for n in (3, 4)] for slot in (whole, resumed)]
    assert losses[0] == losses[1]
    assert saved(under_test, whole, tmp_path / "a") == saved(under_test, resumed, tmp_path / "b")
    for slot in (whole, resumed):
        under_test.ask(port.Restore(slot=slot))
    assert saved(under_test, whole, tmp_path / "c") == saved(under_test, resumed, tmp_path / "d")


def test_a_slot_says_after_how_many_steps_it_goes_on(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    checkpointed(under_test, BERT, tmp_path / "checkpoint")
    settings = {
        "kind": BERT.kind, "kind_config": BERT.kind_settings, "head": BERT.head_settings,
        "seed": 3, **DROPPING,
    }  # fmt: skip
    fresh = under_test.ask(port.OpenTraining(**settings))
    resumed = under_test.ask(port.OpenTraining(**settings, resume=str(tmp_path / "checkpoint")))
    assert (fresh.num_steps, resumed.num_steps) == (0, 3)


@pytest.mark.survival("A1")
def test_nothing_of_a_checkpoint_is_a_pickle_that_runs_code(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    checkpointed(under_test, BERT, tmp_path / "checkpoint")
    names = sorted(file.name for file in (tmp_path / "checkpoint").iterdir())
    assert names == ["model.safetensors", "optimizer.bin", "slot.json"]


@pytest.mark.survival("G4")
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.bin"])
def test_a_checkpoint_whose_files_were_changed_is_refused(
    make_engine: MakeBench, tmp_path: Path, file: str
) -> None:
    under_test = make_engine("bert")
    checkpointed(under_test, BERT, tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    failure = refused(under_test, tmp_path / "checkpoint")
    assert failure.message == "the checkpoint's files are not those that were written"


def test_a_checkpoint_of_which_a_file_is_gone_is_refused(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    checkpointed(under_test, BERT, tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "slot.json").unlink()
    assert "slot.json" in refused(under_test, tmp_path / "checkpoint").message


def test_a_checkpoint_of_other_settings_is_refused_with_both(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    checkpointed(under_test, BERT, tmp_path / "checkpoint")
    message = refused(under_test, tmp_path / "checkpoint", weight_decay=0.5).message
    assert "weight_decay is 0.01;" in message
    assert message.endswith("0.5")


def test_a_checkpoint_made_on_another_base_is_refused_with_both(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    bert, roberta = make_engine("bert"), make_engine("roberta")
    checkpointed(bert, BERT, tmp_path / "checkpoint")
    message = refused(roberta, tmp_path / "checkpoint").message
    assert bert.base.fingerprint in message
    assert roberta.base.fingerprint in message


def refused(under_test: EngineUnderTest, directory: Path, **other: Any) -> port.Failure:
    """And the engine holds no slot of it."""
    settings = {
        "kind": BERT.kind, "kind_config": BERT.kind_settings, "head": BERT.head_settings,
        "seed": 3, **DROPPING, **other,
    }  # fmt: skip
    before = under_test.ask(port.Stats()).training
    failure = under_test.refusal(port.OpenTraining(**settings, resume=str(directory)))
    assert failure.code == "bad_checkpoint"
    assert under_test.ask(port.Stats()).training == before
    return failure


@pytest.mark.parametrize("place", ["taken", "nowhere/step-3"])
def test_a_checkpoint_that_has_no_place_fails_and_leaves_nothing(
    make_engine: MakeBench, tmp_path: Path, place: str
) -> None:
    under_test = make_engine("bert")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "kept").write_text("as it was")
    slot = under_test.open(BERT)
    failure = under_test.refusal(port.Checkpoint(slot=slot, directory=str(tmp_path / place)))
    assert failure.code == "checkpoint_failed"
    assert [file.name for file in tmp_path.iterdir() if file.name != "0"] == ["taken"]
    assert (tmp_path / "taken" / "kept").read_text() == "as it was"


FULL_DISK = """
import resource, sys
from pathlib import Path
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.test_checkpoint import BERT, step, saved
folder, room = Path(sys.argv[1]), int(sys.argv[2])
config = EngineConfig(base=sys.argv[3], dtype="float32", threads=1, num_slots=1)
under_test = EngineUnderTest(Engine(config), folder)
slot = under_test.open(BERT)
step(under_test, BERT, slot, 0)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
failure = under_test.refusal(port.Checkpoint(slot=slot, directory=str(folder / "checkpoint")))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert failure.code == "checkpoint_failed", failure
assert list(folder.iterdir()) == [], list(folder.iterdir())
step(under_test, BERT, slot, 1)
under_test.ask(port.Checkpoint(slot=slot, directory=str(folder / "checkpoint")))
assert (folder / "checkpoint" / "slot.json").exists()
"""


@pytest.mark.parametrize("room", [0, 4096, 20_000])
def test_a_checkpoint_on_a_full_disk_leaves_nothing_and_the_training_goes_on(
    base_folder: Callable[[str], Path], tmp_path: Path, room: int
) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(room), str(base_folder("bert"))]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_is_of_the_moment_at_which_it_was_its_turn(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    slot = checkpointed(under_test, BERT, tmp_path / "before")
    write = under_test.engine.run(port.Checkpoint(slot=slot, directory=str(tmp_path / "a")))
    assert callable(write)
    step(under_test, BERT, slot, 3)
    under_test.ask(port.Snapshot(slot=slot))
    assert isinstance(write(), port.Checkpointed)
    for file in (tmp_path / "before").iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes()


def test_what_is_saved_is_of_the_moment_at_which_it_was_its_turn(
    make_engine: MakeBench, tmp_path: Path
) -> None:
    under_test = make_engine("bert")
    slot = checkpointed(under_test, BERT, tmp_path / "checkpoint")
    before, _ = saved(under_test, slot, tmp_path / "a")
    (tmp_path / "b").mkdir()
    write = under_test.engine.run(port.Save(slot=slot, directory=str(tmp_path / "b")))
    assert callable(write)
    step(under_test, BERT, slot, 3)
    under_test.ask(port.CloseTraining(slot=slot))
    assert isinstance(write(), port.Saved)
    assert {file.name: file.read_bytes() for file in (tmp_path / "b").iterdir()} == before
