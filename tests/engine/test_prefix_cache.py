"""What is kept of frozen activations: budgets, eviction, and files that leave nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import EngineConfig
from engine.forward.activation_storage import ActivationStorage
from engine.forward.prefix_cache import CachedLayer, PrefixCache

#: of a row of two tokens
ROW_BYTES = 2 * 4 * 4
PLENTY = 2**20


def row(value: float) -> Tensor:
    return torch.full((2, 4), value)


def keep(cache: PrefixCache, stored: CachedLayer, *keys: int, most: int = PLENTY) -> bool:
    return cache.keep(stored, list(keys), [row(float(key)) for key in keys], most)


def test_rows_come_back_by_key() -> None:
    cache = PrefixCache(ActivationStorage(PLENTY))
    stored = cache.hold("a", 1)
    assert keep(cache, stored, 7, 8)
    assert torch.equal(stored.rows[8], row(8.0))
    assert cache.num_bytes == 2 * ROW_BYTES


def test_rows_past_the_budget_are_not_kept() -> None:
    cache = PrefixCache(ActivationStorage(3 * ROW_BYTES))
    stored = cache.hold("a", 1)
    assert keep(cache, stored, 1, 2)
    assert not keep(cache, stored, 3, 4)
    assert set(stored.rows) == {1, 2}


def test_a_dataset_keeps_no_more_than_its_own_share() -> None:
    cache = PrefixCache(ActivationStorage(PLENTY))
    stored = cache.hold("a", 1)
    assert keep(cache, stored, 1, most=ROW_BYTES)
    assert not keep(cache, stored, 2, most=ROW_BYTES)


def test_what_nobody_holds_makes_room_least_recently_used_first() -> None:
    cache = PrefixCache(ActivationStorage(2 * ROW_BYTES))
    for name in ("old", "older"):
        assert keep(cache, cache.hold(name, 1), 1)
        cache.release(name, 1)
    cache.hold("old", 1)
    cache.release("old", 1)
    assert keep(cache, cache.hold("new", 1), 1)
    assert set(cache.hold("old", 1).rows) == {1}
    assert set(cache.hold("older", 1).rows) == set()


def test_what_is_held_is_never_evicted() -> None:
    cache = PrefixCache(ActivationStorage(ROW_BYTES))
    first = cache.hold("first", 1)
    assert keep(cache, first, 1)
    assert not keep(cache, cache.hold("second", 1), 1)
    assert set(first.rows) == {1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_past_the_memory_rows_go_to_disk_and_come_back_the_same(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    memory = ActivationStorage(0, PLENTY, str(tmp_path / "made when it is needed"))
    cache = PrefixCache(memory)
    stored = cache.hold("a", 1)
    wanted = torch.randn(5, 4).to(dtype)
    assert cache.keep(stored, [1, 2], [wanted[:2], wanted[2:]], PLENTY)
    assert torch.equal(stored.rows[1], wanted[:2])
    assert torch.equal(stored.rows[2], wanted[2:])
    assert (memory.in_memory, memory.on_disk) == (0, wanted.numel() * wanted.element_size())


def test_no_file_has_a_name_that_could_be_left_behind(tmp_path: Path) -> None:
    cache = PrefixCache(ActivationStorage(0, PLENTY, str(tmp_path)))
    assert keep(cache, cache.hold("a", 1), 1)
    assert list(tmp_path.iterdir()) == []


def test_the_disk_has_a_budget_and_gives_back_what_is_forgotten(tmp_path: Path) -> None:
    memory = ActivationStorage(0, ROW_BYTES, str(tmp_path))
    cache = PrefixCache(memory)
    stored = cache.hold("a", 1)
    assert keep(cache, stored, 1)
    assert not keep(cache, stored, 2)
    cache.forget("a")
    cache.release("a", 1)
    assert memory.on_disk == 0


def test_a_full_disk_only_keeps_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PrefixCache(ActivationStorage(0, PLENTY, str(tmp_path)))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert not keep(cache, cache.hold("a", 1), 1)
    assert cache.num_bytes == 0


def test_a_dataset_that_is_opened_again_is_no_longer_forgotten() -> None:
    cache = PrefixCache(ActivationStorage(PLENTY))
    keep(cache, cache.hold("a", 1), 1)
    cache.forget("a")
    cache.hold("a", 1)
    cache.release("a", 1)
    cache.release("a", 1)
    assert set(cache.hold("a", 1).rows) == {1}


def test_the_nearest_lower_layer_that_has_all_the_rows_is_found() -> None:
    cache = PrefixCache(ActivationStorage(PLENTY))
    for layer, keys in ((1, (1, 2)), (2, (1, 2)), (3, (1,)), (5, (1, 2))):
        keep(cache, cache.hold("a", layer), *keys)
    keep(cache, cache.hold("b", 4), 1, 2)
    found = cache.below("a", 5, [2, 1])
    assert found is not None
    assert found[0] == 2
    assert torch.equal(found[1][0], row(2.0))
    assert cache.below("a", 1, [1]) is None


def test_a_disk_budget_without_a_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="activation_disk_bytes is 5 and there is no"):
        EngineConfig(base="b", activation_disk_bytes=5)
