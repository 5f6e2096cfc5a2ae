"""Rows of an encoder and decoder write as each does alone, whoever comes and goes beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import port
from engine.generation import seq2seq_runner
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.test_seq2seq import FAMILIES, HEAD, adapter, expected, stock

LENGTH = 12
MakeBench = Callable[..., EngineUnderTest]
Folder = Callable[[str], Path]


class SequenceDriver:
    """Rows of three versions and the bare base, begun and asked by name."""

    def __init__(
        self, under_test: EngineUnderTest, folder: Path, family: str, scratch: Path
    ) -> None:
        self.engine_under_test = under_test
        made = [adapter(folder, family, number, scratch / str(number)) for number in range(3)]
        self.models = [stock(folder), *(model for _, model in made)]
        digests = [under_test.load(directory, HEAD) for directory, _ in made]
        self.place = dict(enumerate(digests, 1))
        self.texts: dict[int, list[int]] = {}
        self.cached: dict[int, int] = {}
        self.going: list[int] = []

    def begin(self, key: int, row: int, slot: int, salt: str = "") -> port.StartSequence:
        return port.StartSequence(
            key=key, row=port.Row.of(ids=ROWS[row], slot=slot), max_tokens=LENGTH, salt=salt
        )

    def step(self, *begin: port.StartSequence) -> None:
        step = port.Generate(begin=list(begin), keys=self.going, place=self.place)
        keys = [*self.going, *(each.key for each in begin)]
        for key, row in zip(keys, self.engine_under_test.ask(step).rows, strict=True):
            assert isinstance(row, port.SequenceOutput), row
            self.texts.setdefault(key, []).extend(row.ids)
            self.cached[key] = max(self.cached.get(key, 0), row.num_cached)
            keys = [k for k in keys if k != key] if row.finish else keys
        self.going = keys

    def finish(self) -> None:
        while self.going:
            self.step()

    def alone(self, row: int, slot: int) -> list[int]:
        return expected(self.models[slot], ROWS[row], LENGTH).ids


@pytest.fixture
def make_driver(
    make_engine: MakeBench, base_folder: Folder, tmp_path: Path
) -> Callable[..., SequenceDriver]:
    return lambda family, **given: SequenceDriver(
        make_engine(family, **given), base_folder(family), family, tmp_path
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_come_and_go_write_what_each_writes_alone(
    make_driver: Callable[..., SequenceDriver], family: str
) -> None:
    driver = make_driver(family)
    driver.step(driver.begin(1, 0, 1), driver.begin(2, 2, 0))
    driver.step()
    driver.step(driver.begin(3, 4, 2))
    driver.step(driver.begin(4, 2, 3), driver.begin(5, 1, 1))
    driver.engine_under_test.ask(port.FreeSequences(keys=[2]))
    driver.going = [key for key in driver.going if key != 2]
    driver.finish()
    wanted = {1: (0, 1), 3: (4, 2), 4: (2, 3), 5: (1, 1)}
    assert {k: driver.texts[k] for k in wanted} == {k: driver.alone(*w) for k, w in wanted.items()}


@pytest.mark.survival("D1")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_read_before_is_read_once_for_its_version_and_salt(
    make_driver: Callable[..., SequenceDriver], family: str
) -> None:
    driver = make_driver(family)
    driver.step(driver.begin(1, 2, 1, "one"))
    driver.step(
        driver.begin(2, 2, 1, "one"), driver.begin(3, 2, 1, "two"), driver.begin(4, 2, 2, "one"),
        driver.begin(5, 2, 1),
    )  # fmt: skip
    driver.finish()
    assert driver.cached == {1: 0, 2: len(ROWS[2]), 3: 0, 4: 0, 5: 0}
    assert driver.texts[1] == driver.texts[2] == driver.texts[3] == driver.alone(2, 1)
    assert driver.texts[4] == driver.alone(2, 2)


def test_a_row_waits_until_there_is_room_for_all_it_may_read(
    make_driver: Callable[..., SequenceDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver("t5")
    runner = driver.engine_under_test.engine._generation._runner
    monkeypatch.setattr(runner, "num_blocks", 2)
    driver.step(driver.begin(1, 0, 1), driver.begin(2, 2, 2))
    assert (driver.texts[1] != [], driver.texts[2]) == (True, [])
    driver.finish()
    assert (driver.texts[2], runner.used_blocks) == (driver.alone(2, 2), 0)


def test_rows_as_wide_as_the_longest_among_them_stay_within_the_memory(
    make_driver: Callable[..., SequenceDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver("t5")
    runner = driver.engine_under_test.engine._generation._runner
    monkeypatch.setattr(runner, "num_blocks", 7)
    # alone they need 3, 2 and 2 blocks, together three times the 3 of the longest
    wide = port.StartSequence(
        key=1, row=port.Row.of(ids=ROWS[2][:1] * 20, slot=1), max_tokens=LENGTH
    )
    driver.step(wide, driver.begin(2, 2, 0), driver.begin(3, 2, 2))
    assert (driver.texts[1] != [], driver.texts[2] != [], driver.texts[3]) == (True, True, [])
    assert runner.used_blocks == 6
    driver.finish()
    assert driver.texts[3] == driver.alone(2, 2)


def test_nobody_overtakes_a_row_that_waits_for_room(
    make_driver: Callable[..., SequenceDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver("t5")
    monkeypatch.setattr(driver.engine_under_test.engine._generation._runner, "num_blocks", 4)
    wide = port.StartSequence(
        key=2, row=port.Row.of(ids=ROWS[2][:1] * 20, slot=1), max_tokens=LENGTH
    )
    driver.step(driver.begin(1, 2, 1), wide, driver.begin(3, 2, 2))
    assert (driver.texts[1] != [], driver.texts[2], driver.texts[3]) == (True, [], [])
    driver.finish()
    assert driver.texts[3] == driver.alone(2, 2)


def test_a_row_that_could_never_have_room_is_refused(
    make_driver: Callable[..., SequenceDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver("t5")
    monkeypatch.setattr(driver.engine_under_test.engine._generation._runner, "num_blocks", 1)
    (row,) = driver.engine_under_test.ask(port.Generate(begin=[driver.begin(1, 0, 0)])).rows
    assert isinstance(row, port.Failure)
    assert "need 2 blocks of keys and values; there are 1" in row.message


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forward_that_fails_halfway_leaves_nothing_behind(
    make_driver: Callable[..., SequenceDriver], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = make_driver(family)
    driver.step(driver.begin(1, 0, 1), driver.begin(2, 2, 2))
    real, failed = seq2seq_runner.decode_step, list[int]()

    def once(base: Any, target: Any, group: Any, *encoded: Any) -> torch.Tensor:
        logits = real(base, target, group, *encoded)
        if not failed:
            failed.append(1)
            raise RuntimeError("the last layer failed")
        return logits

    monkeypatch.setattr(seq2seq_runner, "decode_step", once)
    driver.finish()
    assert (driver.texts[1], driver.texts[2]) == (driver.alone(0, 1), driver.alone(2, 2))


def test_exact_rows_are_read_alone(make_driver: Callable[..., SequenceDriver]) -> None:
    driver = make_driver("bart", exact=True)
    driver.step(driver.begin(1, 0, 1), driver.begin(2, 2, 2))
    driver.finish()
    assert (driver.texts[1], driver.texts[2]) == (driver.alone(0, 1), driver.alone(2, 2))
