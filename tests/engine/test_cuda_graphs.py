"""A replayed forward answers for the adapters that its rows have now, as a launched one does."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from engine.adapters.resident import Placed
from engine.adapters.slot_pool import SlotPool
from engine.kv_cache.chunks import Chunk
from engine.ops.cuda_graph import CaptureFailed, CudaGraphCapture
from engine.ops.slot_vectors import SlotVectors
from engine.sites.effect import Effect, LowRank
from engine.sites.hooks import Sites

pytest.importorskip("triton", reason="Triton is not installed")

from engine.generation import cuda_forward, graph_forward
from engine.generation.cuda_forward import CudaForward

WIDTH, NUM_SLOTS = 8, 12
SITES = ("first", "second")


class Replay(TorchDispatchMode):
    """Keeps the operations of a forward with their tensors, and runs them again over what these
    hold by then, as a CUDA graph does: no Python of the forward runs a second time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []
        self.num_captured = self.num_replayed = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, result))
        return result

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.num_captured += 1
        self._operations = []
        with self:
            answer = run()
        operations, self._operations = self._operations, []

        def replay() -> Tensor:
            self.num_replayed += 1
            with torch.inference_mode():
                for func, args, kwargs, before in operations:
                    now = func(*args, **kwargs)
                    # views and changes in place are where they were; new tensors take their place
                    if isinstance(now, Tensor) and now.data_ptr() != before.data_ptr():
                        before.copy_(now)
            return answer

        return replay


class TinyModel(nn.Module):
    """Two linears at which adapters act, between an embedding and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, WIDTH)
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.second(torch.tanh(self.first(self.embedding(ids))))
        return hidden


class Rows:
    """Rows that write one token, each with an adapter in a slot of its own; slot 0 is bare."""

    def __init__(self, capture: Any, num_bytes: int | None = None) -> None:
        torch.manual_seed(0)
        model = TinyModel()
        config = SimpleNamespace()
        self.base: Any = SimpleNamespace(
            model=SimpleNamespace(config=config),
            numerics=SimpleNamespace(device=torch.device("cpu")),
            packed=True,
            forward=lambda batch, kv_attention: model(batch.ids),
            compute_logits=lambda hidden: hidden,
        )
        kv_pool: Any = SimpleNamespace(device=torch.device("cpu"))
        sites = Sites(model, SITES)
        self.forwards = CudaForward(self.base, sites, kv_pool, capture)
        self.launched = CudaForward(self.base, sites, kv_pool, None)
        self.pool = SlotPool(NUM_SLOTS, torch.float32, torch.device("cpu"), num_bytes)
        self.placed: dict[int, Placed] = {}

    def arrive(
        self, slot: int, rank: int, group: str, num_sites: int, *, has_shift: bool = False
    ) -> None:
        effects = {
            site: Effect(
                product=LowRank(down_KI=torch.randn(rank, WIDTH), up_KO=torch.randn(rank, WIDTH)),
                gain_O=torch.randn(WIDTH) if group == "dora" else None,
                shift_O=torch.randn(WIDTH) if rank == 4 or has_shift else None,
            )
            for site in SITES[:num_sites]
        }
        head: Any = SimpleNamespace(key=None)
        self.pool.put(slot, group, None, effects, head, {})
        self.placed[slot] = Placed(
            group=group, activation=None, effects=effects, head=head, head_weights={},
            first_layer=0, pool=self.pool,
        )  # fmt: skip

    def depart(self, slot: int) -> None:
        self.pool.remove(slot)
        self.placed.pop(slot, None)

    def forward(self, slots: list[int]) -> None:
        """Both ways, and the same numbers."""
        scheduled: Any = [
            SimpleNamespace(
                row=SimpleNamespace(ids=[slot % 16], slot=slot, placed=self.placed.get(slot)),
                start=0, stop=1, count=1, samples_token=True,
            )
            for slot in slots
            if slot in self.placed or not slot
        ]  # fmt: skip
        if not scheduled:
            return
        chunks = [Chunk(blocks=[1], start=0, count=1)] * len(scheduled)
        torch.testing.assert_close(
            self.forwards.logits(scheduled, chunks),
            self.launched.logits(scheduled, chunks),
            atol=1e-4,
            rtol=1e-4,
        )


@pytest.fixture(autouse=True, scope="module")
def without_attention() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_forward, "PagedKVAttention", lambda *_: None)
        patch.setattr(cuda_forward, "PagedKVAttention", SimpleNamespace(of=lambda *_: None))
        yield


SLOTS = st.integers(1, NUM_SLOTS)
ARRIVE = st.tuples(
    st.just("arrive"),
    SLOTS,
    st.sampled_from([4, 8, 16]),
    st.sampled_from(["lora", "dora"]),
    st.sampled_from([1, 2]),
)
CHANGES = st.one_of(ARRIVE, st.tuples(st.just("depart"), SLOTS), st.just(("nothing",)))
ROWS = st.lists(st.integers(0, NUM_SLOTS), min_size=1, max_size=9)
TRACES = st.lists(st.tuples(CHANGES, ROWS, st.integers(1, 5)), max_size=30)


@pytest.mark.survival("D6")
@given(trace=TRACES, num_bytes=st.sampled_from([None, 0, 10_000, 10**9]))
def test_no_trace_of_arrivals_departures_and_ranks_replays_for_others(
    trace: list[tuple[Any, list[int], int]], num_bytes: int | None
) -> None:
    rows = Rows(Replay(), num_bytes)
    for (change, *details), slots, num_forwards in trace:
        if change == "arrive":
            rows.arrive(*details)
        elif change == "depart":
            rows.depart(*details)
        for _ in range(num_forwards):
            rows.forward(slots)


@pytest.mark.survival("D6")
@pytest.mark.parametrize("ranks", [(8,), (8, 16), (4, 8, 16, 32)], ids=str)
def test_hundreds_of_forwards_replay_what_the_slots_hold_by_then(ranks: tuple[int, ...]) -> None:
    capture, chance = Replay(), random.Random(0)
    rows = Rows(capture)
    for _ in range(300):
        slot = chance.randint(1, NUM_SLOTS)
        if chance.random() < 0.2 and len(rows.placed) > 3:
            rows.depart(slot)
        else:
            rows.arrive(slot, chance.choice(ranks), "lora", 2)
        rows.forward(chance.sample(range(NUM_SLOTS + 1), chance.choice([2, 4, 7])))
    assert capture.num_replayed > 200
    assert capture.num_captured < 40


def test_adapters_that_replace_each_other_share_a_graph() -> None:
    capture = Replay()
    rows = Rows(capture)
    for rank in (8, 5, 7, 8, 6, 8):
        rows.arrive(3, rank, "lora", 2)
        rows.forward([3, 0])
    assert (capture.num_captured, capture.num_replayed) == (1, 4)


def test_a_base_that_cannot_be_recorded_is_launched_for_ever_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts = []

    def refuse(run: Any) -> Any:
        attempts.append(run)
        raise CaptureFailed("operation not permitted when stream is capturing")

    rows = Rows(SimpleNamespace(capture=refuse))
    rows.arrive(1, 8, "lora", 2)
    for _ in range(4):
        rows.forward([1])
    assert len(attempts) == 1
    assert rows.forwards._capture is None
    assert "not permitted" in caplog.text


def test_a_graph_that_finds_no_memory_is_not_the_end_of_graphs() -> None:
    replay, is_full = Replay(), [True]

    def capture(run: Any) -> Any:
        if is_full[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return replay.capture(run)

    rows = Rows(SimpleNamespace(capture=capture))
    rows.arrive(1, 8, "lora", 2)
    for _ in range(4):
        rows.forward([1])
    is_full[0] = False
    for _ in range(4):
        rows.forward([1, 0])
    assert replay.num_replayed


def test_an_adapter_that_could_not_be_placed_leaves_no_graph_without_its_tensors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Rows(Replay())
    rows.arrive(1, 8, "lora", 2)
    for _ in range(4):
        rows.forward([1])
    with monkeypatch.context() as patch:
        # rank 16 comes with a bucket of its own, and the shift finds no memory
        patch.setattr(SlotVectors, "__init__", Mock(side_effect=torch.OutOfMemoryError()))
        with pytest.raises(torch.OutOfMemoryError):
            rows.arrive(2, 16, "lora", 2, has_shift=True)
    rows.arrive(2, 16, "lora", 2)
    for _ in range(4):
        rows.forward([1, 2])
        rows.forward([2])


class FakeCuda:
    """torch.cuda where a capture fails as it does when stock code waits for the device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool) -> None:
        self._is_lost = is_lost
        stream = SimpleNamespace(wait_stream=lambda _: None)
        for name, value in {
            "graph_pool_handle": lambda: 1,
            "Stream": lambda: stream,
            "CUDAGraph": object,
            "current_stream": lambda: stream,
            "stream": lambda _: contextlib.nullcontext(),
            "graph": self._capture,
            "synchronize": self._synchronize,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    @contextlib.contextmanager
    def _capture(self, *_: Any, **__: Any) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def _synchronize(self) -> None:
        if self._is_lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_capture_that_fails_on_a_device_that_is_well_is_no_lost_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeCuda(monkeypatch, is_lost=False)
    with pytest.raises(CaptureFailed, match="not permitted"):
        CudaGraphCapture().capture(lambda: torch.zeros(1))


def test_a_device_lost_while_capturing_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(monkeypatch, is_lost=True)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        CudaGraphCapture().capture(lambda: torch.zeros(1))
