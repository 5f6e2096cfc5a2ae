"""An error that nobody foresaw fails the step that met it, and ends the engine only where something
of the step may have stayed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import engine as engine_module
from engine import port
from engine.kinds.lora import LoraKind
from tests.contracts.bench import ROWS, Bench
from tests.contracts.cases import Case

CASE = Case("bert", "lora", "classify", "native")
MakeBench = Callable[..., Bench]


def _raising(*_: object, **__: object) -> None:
    raise KeyError("nobody foresaw this")


@pytest.mark.parametrize(
    ("owner", "name"), [(LoraKind, "read"), (engine_module, "read_adapter")], ids=["kind", "engine"]
)
def test_a_reader_that_fails_unexpectedly_fails_its_own_step_only(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    table = bench("bert")
    adapter = table.adapter(CASE)
    directory = table.write(adapter)
    path = str(directory / "adapter_model.safetensors")
    steps: list[port.Step] = [
        port.Inspect(directory=str(directory)),
        port.Load(
            digest="x", semantics=adapter.semantics,
            files=[
                port.File(role="config", path=str(directory / "adapter_config.json")),
                port.File(role="adapter", path=path),
            ],
        ),
    ]  # fmt: skip
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, _raising)
        if owner is engine_module:
            broken.setattr(owner, "inspect", _raising)
        for step in steps:
            refusal = table.refusal(step)
            assert refusal.code == "bad_adapter"
            assert "nobody foresaw this" not in refusal.message  # the log has it
    assert table.ask(port.Stats()).loaded == {}
    assert table.answers([(ROWS[0], table.load(directory, adapter.head))])


def test_a_training_that_cannot_be_opened_for_an_unforeseen_reason_leaves_no_slot(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("bert")
    for name in ("check", "effect"):
        with monkeypatch.context() as broken:
            broken.setattr(LoraKind, name, _raising)
            step = port.OpenTraining(kind="lora", kind_config={}, head=CASE.head_settings, seed=1)
            assert table.refusal(step).code == "bad_training"
        assert table.ask(port.Stats()).training == []
    assert table.train(CASE, table.open(CASE), steps=1)


def test_memory_that_is_short_while_files_are_read_is_not_blamed_on_them(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("can't allocate memory: you tried to allocate 4 bytes")

    table = bench("bert")
    step = port.Inspect(directory=str(table.write(table.adapter(CASE))))
    monkeypatch.setattr(LoraKind, "read", full)
    assert table.refusal(step).code == "out_of_memory"


def test_a_step_that_may_leave_something_behind_ends_the_engine(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = bench("bert")
    monkeypatch.setattr(engine_module, "predict", _raising)
    with pytest.raises(KeyError, match="nobody foresaw"):
        table.engine.step(port.Predict(rows=[port.Row(ids=ROWS[0])]))


@pytest.mark.survival("E7", "G3")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO], ids=errno.errorcode.get)
def test_files_that_the_machine_cannot_read_are_not_blamed_on_the_adapter(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    table = bench("bert")
    adapter = table.adapter(CASE)
    directory = table.write(adapter)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", broken)
        refusal = table.refusal(
            port.Load(
                digest="x", semantics=adapter.semantics,
                files=[
                    port.File(role="adapter", path=str(directory / "adapter_model.safetensors"))
                ],
            )
        )  # fmt: skip
        assert refusal.code == "files_unreadable"
    assert table.answers([(ROWS[0], table.load(directory, adapter.head))])


@pytest.mark.survival("G3")
def test_a_full_disk_under_a_save_fails_the_save_and_ends_nothing(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    table = bench("bert")
    slot = table.open(CASE)
    table.train(CASE, slot, steps=1)
    with monkeypatch.context() as patched:
        patched.setattr(engine_module, "write_adapter", full)
        assert table.refusal(port.Save(slot=slot, directory=str(tmp_path))).code == "save_failed"
    assert isinstance(table.ask(port.Save(slot=slot, directory=str(tmp_path))), port.Saved)
