"""Adapters are read beside the loop: whatever happens to their files meanwhile, calls are answered,
and nobody waits for an answer that never comes.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import engine as engine_module
from engine import port
from engine.config import EngineConfig
from engine.errors import BadAdapter, EngineGone, FilesUnreadable
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from engine.runtime.supervisor import SupervisedEngine
from tests.engine.rows import TIMEOUT_S, answers, ask, open_training, save, train

DIGESTS = st.sampled_from(["a", "b"])


@pytest.fixture(scope="module")
def directory(thread_engine: ThreadEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version directory."""
    directory = tmp_path_factory.mktemp("version") / "version"
    slot = open_training(thread_engine)
    train(thread_engine, slot, 2)
    save(thread_engine, slot, directory)
    ask(thread_engine, port.CloseTraining(slot=slot))
    return directory


@pytest.fixture
def engine(config: EngineConfig) -> Iterator[ThreadEngine]:
    engine = ThreadEngine(config)
    yield engine
    engine.close()


def load(engine: EnginePort, directory: Path, digest: str) -> port.Load:
    """The step that loads a directory."""
    inspected = ask(engine, port.Inspect(directory=str(directory)))
    files = [port.File(role=r, path=str(directory / n)) for r, n in inspected.files.items()]
    return port.Load(digest=digest, semantics=inspected.semantics, files=files)


def blocked(step: port.Load, folder: Path) -> tuple[port.Load, Path]:
    """The same step, with a file that can only be read once somebody has written it."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    files = [replaced(f, str(pipe)) if f.role == "adapter" else f for f in step.files]
    return port.Load(digest=step.digest, semantics=step.semantics, files=files), pipe


def replaced(file: port.File, path: str) -> port.File:
    return port.File(role=file.role, path=path, sha256=file.sha256)


def write(pipe: Path, directory: Path) -> None:
    pipe.write_bytes((directory / "adapter_model.safetensors").read_bytes())


@pytest.mark.survival("E7")
def test_calls_are_answered_while_an_adapter_is_read(
    thread_engine: ThreadEngine, directory: Path, tmp_path: Path
) -> None:
    step, pipe = blocked(load(thread_engine, directory, "slow"), tmp_path)
    loading = thread_engine.submit(step)
    assert answers(thread_engine, slot=0)
    assert not loading.done()
    write(pipe, directory)
    assert isinstance(loading.result(TIMEOUT_S), port.Loaded)
    assert answers(thread_engine, slot=1, place={1: "slow"})
    ask(thread_engine, port.Unload(digest="slow"))


def test_a_directory_is_inspected_beside_calls(
    thread_engine: ThreadEngine, directory: Path, tmp_path: Path
) -> None:
    staged = shutil.copytree(directory, tmp_path / "staged")
    pipe = staged / "adapter_model.safetensors"
    pipe.unlink()
    os.mkfifo(pipe)
    inspecting = thread_engine.submit(port.Inspect(directory=str(staged)))
    assert answers(thread_engine, slot=0)
    assert not inspecting.done()
    write(pipe, directory)
    assert isinstance(inspecting.result(TIMEOUT_S), port.Inspected)


@pytest.mark.survival("E7")
def test_files_that_are_deleted_before_they_are_read_fail_the_load_alone(
    thread_engine: ThreadEngine, directory: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(directory, tmp_path / "copy")
    step = load(thread_engine, copy, "deleted")
    shutil.rmtree(copy)
    with pytest.raises((BadAdapter, FilesUnreadable)):
        ask(thread_engine, step)
    assert answers(thread_engine, slot=0)
    assert "deleted" not in ask(thread_engine, port.Stats()).loaded


@pytest.mark.survival("E7", "G4")
def test_a_file_that_is_cut_while_it_is_read_fails_the_load_and_the_next_load_succeeds(
    thread_engine: ThreadEngine, directory: Path, tmp_path: Path
) -> None:
    step = load(thread_engine, directory, "cut")
    slow, pipe = blocked(step, tmp_path)
    loading = thread_engine.submit(slow)
    pipe.write_bytes(b"\x10")
    with pytest.raises(BadAdapter, match="not readable safetensors"):
        loading.result(TIMEOUT_S)
    assert isinstance(ask(thread_engine, step), port.Loaded)
    ask(thread_engine, port.Unload(digest="cut"))


def test_a_digest_that_is_unloaded_while_it_loads_is_not_held(
    thread_engine: ThreadEngine, directory: Path, tmp_path: Path
) -> None:
    step, pipe = blocked(load(thread_engine, directory, "gone"), tmp_path)
    steps = [thread_engine.submit(step), thread_engine.submit(port.Unload(digest="gone"))]
    write(pipe, directory)
    for submitted in steps:
        submitted.result(TIMEOUT_S)
    assert "gone" not in ask(thread_engine, port.Stats()).loaded


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(st.tuples(st.booleans(), DIGESTS), max_size=12))
def test_loads_and_unloads_that_nobody_waits_for_leave_what_the_last_of_them_says(
    thread_engine: ThreadEngine, directory: Path, moves: list[tuple[bool, str]]
) -> None:
    steps = {digest: load(thread_engine, directory, digest) for digest in "ab"}
    submitted: list[Future[port.Result]] = []
    held: set[str] = set()
    for is_load, digest in moves:
        submitted.append(
            thread_engine.submit(steps[digest] if is_load else port.Unload(digest=digest))
        )
        held = held | {digest} if is_load else held - {digest}
    for future in submitted:
        future.result(TIMEOUT_S)
    assert set(ask(thread_engine, port.Stats()).loaded) == held
    for digest in "ab":
        ask(thread_engine, port.Unload(digest=digest))
    assert ask(thread_engine, port.Stats()).loaded == {}


def test_closing_answers_a_load_that_is_being_read(
    config: EngineConfig, directory: Path, tmp_path: Path
) -> None:
    engine = ThreadEngine(config)
    step, pipe = blocked(load(engine, directory, "slow"), tmp_path)
    loading = engine.submit(step)
    closing = threading.Thread(target=engine.close)
    closing.start()
    write(pipe, directory)
    closing.join(TIMEOUT_S)
    assert isinstance(loading.result(0), port.Loaded)


@pytest.mark.survival("H5")
def test_an_engine_that_is_killed_while_it_reads_leaves_nobody_waiting(
    process_engine: SupervisedEngine, directory: Path, tmp_path: Path
) -> None:
    step, _ = blocked(load(process_engine, directory, "slow"), tmp_path)
    loading = process_engine.submit(step)
    assert answers(process_engine, slot=0)
    generation = process_engine.generation
    os.kill(process_engine.pid, signal.SIGKILL)
    with pytest.raises(EngineGone):
        loading.result(TIMEOUT_S)
    while process_engine.generation == generation or not process_engine.is_alive:
        threading.Event().wait(0.05)
    assert answers(process_engine, slot=0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_device_that_is_lost_while_reading_ends_the_engine_and_leaves_nobody_waiting(
    engine: ThreadEngine, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    step = load(engine, directory, "x")
    monkeypatch.setattr(engine_module, "load_adapter", lost)
    steps = [engine.submit(step), engine.submit(step)]
    for submitted in steps:
        with pytest.raises(EngineGone):
            submitted.result(TIMEOUT_S)


def test_a_reader_computes_on_one_core_and_the_loop_on_all_of_its_own(
    config: EngineConfig, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, ran = [], []
    loads, predicts = engine_module.load_adapter, engine_module.predict
    monkeypatch.setattr(
        engine_module,
        "load_adapter",
        lambda *a: (read.append(torch.get_num_threads()), loads(*a))[1],
    )
    monkeypatch.setattr(
        engine_module,
        "predict",
        lambda *a, **k: (ran.append(torch.get_num_threads()), predicts(*a, **k))[1],
    )
    before = torch.get_num_threads()
    engine = ThreadEngine(replace(config, threads=2))
    try:
        step = load(engine, directory, "x")
        for digest in "abc":
            ask(engine, port.Load(digest=digest, semantics=step.semantics, files=step.files))
            answers(engine, slot=0)
    finally:
        engine.close()
        torch.set_num_threads(before)
    assert (read, ran) == ([1] * 3, [2] * 3)
