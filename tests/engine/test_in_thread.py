"""What only the port in a thread does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import port
from engine.config import EngineConfig
from engine.errors import BadBase, EngineGone
from engine.runtime.in_thread import ThreadEngine


@pytest.fixture
def engine(config: EngineConfig) -> Iterator[ThreadEngine]:
    engine = ThreadEngine(config)
    yield engine
    engine.close()


def test_a_bad_base_raises_from_the_constructor(tmp_path: object) -> None:
    with pytest.raises(BadBase, match="holds no base"):
        ThreadEngine(EngineConfig(base=str(tmp_path), dtype="float32"))


def test_closing_answers_what_was_submitted(engine: ThreadEngine) -> None:
    futures = [engine.submit(port.Stats()) for _ in range(20)]
    engine.close()
    assert all(isinstance(future.result(0), port.EngineStats) for future in futures)


def test_a_closed_engine_is_gone(engine: ThreadEngine) -> None:
    engine.close()
    with pytest.raises(EngineGone, match="closed"):
        engine.submit(port.Stats()).result(1)


def test_a_cancelled_step_is_never_run_and_disturbs_nobody(engine: ThreadEngine) -> None:
    futures = [engine.submit(port.Stats()) for _ in range(50)]
    cancelled = [future.cancel() for future in futures]
    assert isinstance(engine.submit(port.Stats()).result(10), port.EngineStats)
    assert all(f.cancelled() == c for f, c in zip(futures, cancelled, strict=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_that_ends_the_engine_leaves_nobody_waiting(engine: ThreadEngine) -> None:
    no_step = engine.submit("not a step")  # type: ignore[arg-type]
    after = engine.submit(port.Stats())
    for future in (no_step, after):
        with pytest.raises(EngineGone):
            future.result(10)
