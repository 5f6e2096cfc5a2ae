"""Rows of an encoder and decoder write as each does alone, whoever comes and goes beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import port
from engine.generation import seq2seq_runner
from tests.contracts.bench import ROWS, Bench
from tests.contracts.test_seq2seq import FAMILIES, HEAD, adapter, expected, stock

LENGTH = 12
MakeBench = Callable[..., Bench]
Folder = Callable[[str], Path]


class Desk:
    """Rows of three versions and the bare base, begun and asked by name."""

    def __init__(self, table: Bench, folder: Path, family: str, scratch: Path) -> None:
        self.table = table
        made = [adapter(folder, family, number, scratch / str(number)) for number in range(3)]
        self.models = [stock(folder), *(model for _, model in made)]
        digests = [table.load(directory, HEAD) for directory, _ in made]
        self.place = dict(enumerate(digests, 1))
        self.texts: dict[int, list[int]] = {}
        self.cached: dict[int, int] = {}
        self.going: list[int] = []

    def begin(self, key: int, row: int, slot: int, salt: str = "") -> port.Begin:
        return port.Begin(
            key=key, row=port.Row(ids=ROWS[row], slot=slot), max_tokens=LENGTH, salt=salt
        )

    def step(self, *begin: port.Begin) -> None:
        step = port.Write(begin=list(begin), keys=self.going, place=self.place)
        keys = [*self.going, *(each.key for each in begin)]
        for key, row in zip(keys, self.table.ask(step).rows, strict=True):
            assert isinstance(row, port.Written), row
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
def desk(bench: MakeBench, base_folder: Folder, tmp_path: Path) -> Callable[..., Desk]:
    return lambda family, **given: Desk(
        bench(family, **given), base_folder(family), family, tmp_path
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_come_and_go_write_what_each_writes_alone(
    desk: Callable[..., Desk], family: str
) -> None:
    table = desk(family)
    table.step(table.begin(1, 0, 1), table.begin(2, 2, 0))
    table.step()
    table.step(table.begin(3, 4, 2))
    table.step(table.begin(4, 2, 3), table.begin(5, 1, 1))
    table.table.ask(port.Release(keys=[2]))
    table.going = [key for key in table.going if key != 2]
    table.finish()
    wanted = {1: (0, 1), 3: (4, 2), 4: (2, 3), 5: (1, 1)}
    assert {k: table.texts[k] for k in wanted} == {k: table.alone(*w) for k, w in wanted.items()}


@pytest.mark.survival("D1")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_source_read_before_is_read_once_for_its_version_and_salt(
    desk: Callable[..., Desk], family: str
) -> None:
    table = desk(family)
    table.step(table.begin(1, 2, 1, "one"))
    table.step(
        table.begin(2, 2, 1, "one"), table.begin(3, 2, 1, "two"), table.begin(4, 2, 2, "one"),
        table.begin(5, 2, 1),
    )  # fmt: skip
    table.finish()
    assert table.cached == {1: 0, 2: len(ROWS[2]), 3: 0, 4: 0, 5: 0}
    assert table.texts[1] == table.texts[2] == table.texts[3] == table.alone(2, 1)
    assert table.texts[4] == table.alone(2, 2)


def test_a_row_waits_until_there_is_room_for_all_it_may_read(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = desk("t5")
    reader = table.table.engine._writing._reader
    monkeypatch.setattr(reader, "num_blocks", 2)
    table.step(table.begin(1, 0, 1), table.begin(2, 2, 2))
    assert (table.texts[1] != [], table.texts[2]) == (True, [])
    table.finish()
    assert (table.texts[2], reader.used_blocks) == (table.alone(2, 2), 0)


def test_rows_as_wide_as_the_longest_among_them_stay_within_the_memory(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = desk("t5")
    reader = table.table.engine._writing._reader
    monkeypatch.setattr(reader, "num_blocks", 7)
    # alone they need 3, 2 and 2 blocks, together three times the 3 of the longest
    wide = port.Begin(key=1, row=port.Row(ids=ROWS[2][:1] * 20, slot=1), max_tokens=LENGTH)
    table.step(wide, table.begin(2, 2, 0), table.begin(3, 2, 2))
    assert (table.texts[1] != [], table.texts[2] != [], table.texts[3]) == (True, True, [])
    assert reader.used_blocks == 6
    table.finish()
    assert table.texts[3] == table.alone(2, 2)


def test_nobody_overtakes_a_row_that_waits_for_room(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = desk("t5")
    monkeypatch.setattr(table.table.engine._writing._reader, "num_blocks", 4)
    wide = port.Begin(key=2, row=port.Row(ids=ROWS[2][:1] * 20, slot=1), max_tokens=LENGTH)
    table.step(table.begin(1, 2, 1), wide, table.begin(3, 2, 2))
    assert (table.texts[1] != [], table.texts[2], table.texts[3]) == (True, [], [])
    table.finish()
    assert table.texts[3] == table.alone(2, 2)


def test_a_row_that_could_never_have_room_is_refused(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = desk("t5")
    monkeypatch.setattr(table.table.engine._writing._reader, "num_blocks", 1)
    (row,) = table.table.ask(port.Write(begin=[table.begin(1, 0, 0)])).rows
    assert isinstance(row, port.Failure)
    assert "need 2 blocks of keys and values; there are 1" in row.message


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forward_that_fails_halfway_leaves_nothing_behind(
    desk: Callable[..., Desk], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = desk(family)
    table.step(table.begin(1, 0, 1), table.begin(2, 2, 2))
    real, failed = seq2seq_runner.written_on, list[int]()

    def once(base: Any, target: Any, group: Any, *encoded: Any) -> torch.Tensor:
        logits = real(base, target, group, *encoded)
        if not failed:
            failed.append(1)
            raise RuntimeError("the last layer failed")
        return logits

    monkeypatch.setattr(seq2seq_runner, "written_on", once)
    table.finish()
    assert (table.texts[1], table.texts[2]) == (table.alone(0, 1), table.alone(2, 2))


def test_exact_rows_are_read_alone(desk: Callable[..., Desk]) -> None:
    table = desk("bart", exact=True)
    table.step(table.begin(1, 0, 1), table.begin(2, 2, 2))
    table.finish()
    assert (table.texts[1], table.texts[2]) == (table.alone(0, 1), table.alone(2, 2))
