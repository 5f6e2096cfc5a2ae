"""A recorded forward is replayed for the adapters it was recorded with, and for no others."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.resident import Placed
from engine.generation.cuda_graph import CaptureFailed, CudaGraphCapture
from engine.kv_cache.chunks import Chunk
from engine.ops.grouped_low_rank import LowRank
from engine.sites.effect import Effect

pytest.importorskip("triton", reason="Triton is not installed")

from engine.generation import cuda_forward
from engine.generation.cuda_forward import CudaForward

SITES = ("layers.0.q_proj", "layers.1.q_proj")


class StoredRecording:
    """Keeps what a recording keeps, and computes nothing."""

    def __init__(self, *_: Any, groups: Sequence[Any], actions: Any, **__: Any) -> None:
        self.groups, self.actions = groups, actions

    def capture(self, capture: Any, tokens: Any) -> None:
        capture.capture(lambda: torch.zeros(1))


class Rows:
    """Rows that write, each with an adapter whose weights all hold one number of its own."""

    def __init__(self, forwards: CudaForward) -> None:
        self.forwards = forwards
        self.placed: dict[int, Placed] = {}
        self._number = 0

    def arrive(self, rank: int, group: str, sites: Sequence[str] = SITES) -> None:
        self._number += 1
        product = LowRank(
            down_KI=torch.full((rank, 2), float(self._number)),
            up_KO=torch.full((rank, 2), float(self._number)),
        )
        self.placed[self._number % 63 + 1] = Placed(
            group=group,
            activation=None,
            head=None,
            head_weights={},
            first_layer=0,  # type: ignore[arg-type]
            effects={site: Effect(product=product) for site in sites},
        )

    def depart(self, number: int) -> None:
        if self.placed:
            del self.placed[sorted(self.placed)[number % len(self.placed)]]

    def forward(self) -> StoredRecording | None:
        """The recording that stands for one forward of them all, checked."""
        if not self.placed:
            self.forwards.clear()
            return None
        lanes = self.forwards._persistent.assign_lanes(self.placed)
        scheduled = [SimpleNamespace(row=SimpleNamespace(ids=[1]), start=0) for _ in self.placed]
        own = [lanes[slot] for slot in self.placed]
        chunks = [Chunk(blocks=[1], start=0, count=1)] * len(scheduled)
        graph: Any = self.forwards._find_graph(scheduled, chunks, own)[0]  # type: ignore[arg-type]
        groups = [group for group, _ in self.forwards._persistent.lanes_by_group(own)]
        if graph is not None:
            self._check(graph, groups)
        return graph

    def _check(self, graph: StoredRecording, groups: Sequence[Any]) -> None:
        assert list(graph.groups) == list(groups)
        now = cuda_forward._merge_actions(groups)
        assert graph.actions.keys() == now.keys()
        for path, actions in now.items():
            assert all(a is b for a, b in zip(graph.actions[path], actions, strict=True))
        for group in groups:
            for slot, placed in group.lanes:
                if self.placed.get(slot) is placed:
                    self._check_weights(group, placed)

    @staticmethod
    def _check_weights(group: Any, placed: Placed) -> None:
        """The copy that the recording reads holds this adapter's own numbers in its own seat."""
        _, chunk = group._layout
        lane = next(n for n, (_, its) in enumerate(group.lanes) if its is placed)
        for site, effect in placed.effects.items():
            assert effect.product is not None
            block = chunk._effect_spans[site]._block
            start = sum(block._ranks[:lane])
            copied = block._down_KI[start : start + block._ranks[lane]]
            assert torch.equal(copied, effect.product.down_KI)


@pytest.fixture(autouse=True, scope="module")
def stored() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_forward, "GraphForward", StoredRecording)
        yield


def rows(record: Callable[[Any], Any] = lambda run: run) -> Rows:
    base: Any = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace()))
    pool: Any = SimpleNamespace(device=torch.device("cpu"))
    capture: Any = SimpleNamespace(capture=record)
    return Rows(CudaForward(base, None, pool, capture))  # type: ignore[arg-type]


ARRIVE = st.tuples(
    st.just("arrive"),
    st.sampled_from([4, 8, 16]),
    st.sampled_from(["lora", "dora"]),
    st.sampled_from([SITES, SITES[:1]]),
)
CHANGES = st.one_of(
    ARRIVE, st.tuples(st.just("depart"), st.integers(0, 63)), st.just(("evict all",))
)
TRACES = st.lists(st.tuples(CHANGES, st.integers(1, 5)), max_size=60)


@pytest.mark.survival("D6")
@given(trace=TRACES)
def test_no_trace_of_arrivals_and_departures_replays_another_adapters_recording(
    trace: list[tuple[Any, int]],
) -> None:
    table = rows()
    for (change, *details), num_forwards in trace:
        if change == "arrive":
            table.arrive(*details)
        elif change == "depart":
            table.depart(*details)
        else:
            table.placed.clear()
            table.forwards.clear()
        for _ in range(num_forwards):
            table.forward()


@pytest.mark.parametrize("ranks", [(8,), (8, 16), (4, 8, 16, 32)], ids=str)
def test_thousands_of_forwards_replay_only_what_was_recorded_for_them(
    ranks: tuple[int, ...],
) -> None:
    table, chance = rows(), random.Random(0)
    left: dict[int, int] = {}
    num_replayed = 0
    for step in range(1500):
        left = {slot: n - 1 for slot, n in left.items() if n > 0}
        table.placed = {slot: table.placed[slot] for slot in left}
        wanted = chance.randint(1, 12) if step % 7 == 0 else max(1, len(left))
        while len(left) < wanted:
            table.arrive(chance.choice(ranks), "lora")
            left = {slot: left.get(slot, chance.randint(4, 30)) for slot in table.placed}
        num_replayed += table.forward() is not None
    assert num_replayed > 100


def test_recordings_and_sightings_go_with_the_adapters_they_were_for() -> None:
    table = rows()
    for rank in (4, 8, 16, 32):
        table.arrive(rank, "lora")
        for _ in range(4):
            table.forward()
        assert table.forwards.num_graphs == 1
        table.placed.clear()
    table.forwards.clear()
    assert not table.forwards._graphs
    assert not table.forwards._times_seen


def test_a_base_that_cannot_be_recorded_is_launched_for_ever_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts = []

    def refuse(run: Any) -> Any:
        attempts.append(run)
        raise CaptureFailed("operation not permitted when stream is capturing")

    table = rows(refuse)
    table.arrive(8, "lora")
    for _ in range(3):
        assert table.forward() is None
    assert len(attempts) == 1
    assert table.forwards._capture is None
    assert "not permitted" in caplog.text


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
