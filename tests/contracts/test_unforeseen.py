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
from engine.training import training_slots
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest

CASE = Case("bert", "lora", "classify", "native")
MakeBench = Callable[..., EngineUnderTest]


def _raising(*_: object, **__: object) -> None:
    raise KeyError("nobody foresaw this")


@pytest.mark.parametrize(
    ("owner", "name"), [(LoraKind, "read"), (engine_module, "load_adapter")], ids=["kind", "engine"]
)
def test_a_reader_that_fails_unexpectedly_fails_its_own_step_only(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    under_test = make_engine("bert")
    adapter = under_test.adapter(CASE)
    directory = under_test.write(adapter)
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
            refusal = under_test.refusal(step)
            assert refusal.code == "bad_adapter"
            assert "nobody foresaw this" not in refusal.message  # the log has it
    assert under_test.ask(port.Stats()).loaded == {}
    assert under_test.answers([(ROWS[0], under_test.load(directory, adapter.head))])


def test_a_training_that_cannot_be_opened_for_an_unforeseen_reason_leaves_no_slot(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    for name in ("check", "effect"):
        with monkeypatch.context() as broken:
            broken.setattr(LoraKind, name, _raising)
            step = port.OpenTraining(kind="lora", kind_config={}, head=CASE.head_settings, seed=1)
            assert under_test.refusal(step).code == "bad_training"
        assert under_test.ask(port.Stats()).training == []
    assert under_test.train(CASE, under_test.open(CASE), steps=1)


def test_memory_that_is_short_while_files_are_read_is_not_blamed_on_them(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("can't allocate memory: you tried to allocate 4 bytes")

    under_test = make_engine("bert")
    step = port.Inspect(directory=str(under_test.write(under_test.adapter(CASE))))
    monkeypatch.setattr(LoraKind, "read", full)
    assert under_test.refusal(step).code == "out_of_memory"


def test_a_step_that_may_leave_something_behind_ends_the_engine(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    monkeypatch.setattr(engine_module, "predict", _raising)
    with pytest.raises(KeyError, match="nobody foresaw"):
        under_test.engine.step(port.Predict(rows=[port.Row.of(ids=ROWS[0])]))


@pytest.mark.survival("E7", "G3")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO], ids=errno.errorcode.get)
def test_files_that_the_machine_cannot_read_are_not_blamed_on_the_adapter(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    under_test = make_engine("bert")
    adapter = under_test.adapter(CASE)
    directory = under_test.write(adapter)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", broken)
        refusal = under_test.refusal(
            port.Load(
                digest="x", semantics=adapter.semantics,
                files=[
                    port.File(role="adapter", path=str(directory / "adapter_model.safetensors"))
                ],
            )
        )  # fmt: skip
        assert refusal.code == "files_unreadable"
    assert under_test.answers([(ROWS[0], under_test.load(directory, adapter.head))])


@pytest.mark.survival("G3")
def test_a_full_disk_under_a_save_fails_the_save_and_ends_nothing(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    under_test = make_engine("bert")
    slot = under_test.open(CASE)
    under_test.train(CASE, slot, steps=1)
    with monkeypatch.context() as patched:
        patched.setattr(training_slots, "write_adapter", full)
        assert (
            under_test.refusal(port.Save(slot=slot, directory=str(tmp_path))).code == "save_failed"
        )
    assert isinstance(under_test.ask(port.Save(slot=slot, directory=str(tmp_path))), port.Saved)
