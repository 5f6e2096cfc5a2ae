"""A checkpoint of a training slot: what goes on from it is what would have gone on, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import port
from tests.contracts.bench import ROWS, Bench, targets
from tests.contracts.cases import Case, params

MakeBench = Callable[..., Bench]
BERT = Case("bert", "lora", "classify", "native")
DROPPING = {"dropout": 0.2, "head_dropout": 0.1}


def step(table: Bench, case: Case, slot: int, number: int) -> float:
    rows = [port.Row(ids=ids, slot=slot) for ids in ROWS[: len(targets(case))]]
    asked = port.Train(
        slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
        learning_rate=0.01 / (1 + number), step=number,
    )  # fmt: skip
    return float(table.ask(asked).loss)


def saved(table: Bench, slot: int, directory: Path) -> tuple[dict[str, bytes], list[str]]:
    directory.mkdir()
    told = table.ask(port.Save(slot=slot, directory=str(directory)))
    return {file.name: file.read_bytes() for file in directory.iterdir()}, told.unmoved


def checkpointed(table: Bench, case: Case, directory: Path) -> int:
    """A slot that took three steps, remembered the second, and wrote a checkpoint."""
    slot = table.open(case, **DROPPING)
    step(table, case, slot, 0)
    step(table, case, slot, 1)
    table.ask(port.Snapshot(slot=slot))
    step(table, case, slot, 2)
    told = table.ask(port.Checkpoint(slot=slot, directory=str(directory)))
    assert told.num_steps == 3
    assert told.num_bytes == sum(file.stat().st_size for file in directory.iterdir())
    return slot


@pytest.mark.parametrize("case", params())
def test_training_that_goes_on_from_a_checkpoint_equals_training_that_never_stopped(
    bench: MakeBench, case: Case, tmp_path: Path
) -> None:
    table = bench(case.family)
    whole = checkpointed(table, case, tmp_path / "checkpoint")
    resumed = table.open(case, **DROPPING, resume=str(tmp_path / "checkpoint"))
    losses = [[step(table, case, slot, n) for n in (3, 4)] for slot in (whole, resumed)]
    assert losses[0] == losses[1]
    assert saved(table, whole, tmp_path / "a") == saved(table, resumed, tmp_path / "b")
    for slot in (whole, resumed):
        table.ask(port.Restore(slot=slot))
    assert saved(table, whole, tmp_path / "c") == saved(table, resumed, tmp_path / "d")


def test_a_slot_says_after_how_many_steps_it_goes_on(bench: MakeBench, tmp_path: Path) -> None:
    table = bench("bert")
    checkpointed(table, BERT, tmp_path / "checkpoint")
    settings = {
        "kind": BERT.kind, "kind_config": BERT.kind_settings, "head": BERT.head_settings,
        "seed": 3, **DROPPING,
    }  # fmt: skip
    fresh = table.ask(port.OpenTraining(**settings))
    resumed = table.ask(port.OpenTraining(**settings, resume=str(tmp_path / "checkpoint")))
    assert (fresh.num_steps, resumed.num_steps) == (0, 3)


@pytest.mark.survival("A1")
def test_nothing_of_a_checkpoint_is_a_pickle_that_runs_code(
    bench: MakeBench, tmp_path: Path
) -> None:
    table = bench("bert")
    checkpointed(table, BERT, tmp_path / "checkpoint")
    names = sorted(file.name for file in (tmp_path / "checkpoint").iterdir())
    assert names == ["model.safetensors", "optimizer.bin", "slot.json"]


@pytest.mark.survival("G4")
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.bin"])
def test_a_checkpoint_whose_files_were_changed_is_refused(
    bench: MakeBench, tmp_path: Path, file: str
) -> None:
    table = bench("bert")
    checkpointed(table, BERT, tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    failure = refused(table, tmp_path / "checkpoint")
    assert failure.message == "the checkpoint's files are not those that were written"


def test_a_checkpoint_of_which_a_file_is_gone_is_refused(bench: MakeBench, tmp_path: Path) -> None:
    table = bench("bert")
    checkpointed(table, BERT, tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "slot.json").unlink()
    assert "slot.json" in refused(table, tmp_path / "checkpoint").message


def test_a_checkpoint_of_other_settings_is_refused_with_both(
    bench: MakeBench, tmp_path: Path
) -> None:
    table = bench("bert")
    checkpointed(table, BERT, tmp_path / "checkpoint")
    message = refused(table, tmp_path / "checkpoint", weight_decay=0.5).message
    assert "weight_decay is 0.01;" in message
    assert message.endswith("0.5")


def test_a_checkpoint_made_on_another_base_is_refused_with_both(
    bench: MakeBench, tmp_path: Path
) -> None:
    bert, roberta = bench("bert"), bench("roberta")
    checkpointed(bert, BERT, tmp_path / "checkpoint")
    message = refused(roberta, tmp_path / "checkpoint").message
    assert bert.base.fingerprint in message
    assert roberta.base.fingerprint in message


def refused(table: Bench, directory: Path, **other: Any) -> port.Failure:
    """And the engine holds no slot of it."""
    settings = {
        "kind": BERT.kind, "kind_config": BERT.kind_settings, "head": BERT.head_settings,
        "seed": 3, **DROPPING, **other,
    }  # fmt: skip
    before = table.ask(port.Stats()).training
    failure = table.refusal(port.OpenTraining(**settings, resume=str(directory)))
    assert failure.code == "bad_checkpoint"
    assert table.ask(port.Stats()).training == before
    return failure


@pytest.mark.parametrize("place", ["taken", "nowhere/step-3"])
def test_a_checkpoint_that_has_no_place_fails_and_leaves_nothing(
    bench: MakeBench, tmp_path: Path, place: str
) -> None:
    table = bench("bert")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "kept").write_text("as it was")
    slot = table.open(BERT)
    failure = table.refusal(port.Checkpoint(slot=slot, directory=str(tmp_path / place)))
    assert failure.code == "checkpoint_failed"
    assert [file.name for file in tmp_path.iterdir() if file.name != "0"] == ["taken"]
    assert (tmp_path / "taken" / "kept").read_text() == "as it was"


FULL_DISK = """
import resource, sys
from pathlib import Path
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.bench import Bench
from tests.contracts.test_checkpoint import BERT, step, saved
folder, room = Path(sys.argv[1]), int(sys.argv[2])
config = EngineConfig(base=sys.argv[3], dtype="float32", threads=1, num_slots=1)
table = Bench(Engine(config), folder)
slot = table.open(BERT)
step(table, BERT, slot, 0)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
failure = table.refusal(port.Checkpoint(slot=slot, directory=str(folder / "checkpoint")))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert failure.code == "checkpoint_failed", failure
assert list(folder.iterdir()) == [], list(folder.iterdir())
step(table, BERT, slot, 1)
table.ask(port.Checkpoint(slot=slot, directory=str(folder / "checkpoint")))
assert (folder / "checkpoint" / "slot.json").exists()
"""


@pytest.mark.parametrize("room", [0, 4096, 20_000])
def test_a_checkpoint_on_a_full_disk_leaves_nothing_and_the_training_goes_on(
    base_folder: Callable[[str], Path], tmp_path: Path, room: int
) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(room), str(base_folder("bert"))]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
