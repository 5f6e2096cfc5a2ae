"""Every number the server shows.

Label children that the hot path needs are bound once; `docs/metrics.md` lists all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_SECONDS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.035, 0.05, 0.08, 0.13, 0.2, 0.5, 1,
    2.5, 10,
)  # fmt: skip
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_LOAD_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
#: names a gateway is told at once; more would only make the label longer than any gateway reads
_MAX_NAMES = 64
#: why a connection is ended early
_ENDS = ("slow_head", "stalled", "evicted", "refused")
OTHER = "other"
#: the method of calls that no route or gRPC method answers, whatever they named
UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What holds now rather than what has happened; read at each scrape."""

    queue_rows: int
    queue_tokens: int
    slots_used: int
    slots_total: int
    loaded_adapters: int
    loaded_bytes: int
    engine_generation: int
    running: Iterable[str]
    waiting: Iterable[str]
    #: texts that write and that wait to, and how much of the memory for keys and values they need
    texts_running: int = 0
    texts_waiting: int = 0
    kv_cache_usage: float = 0.0
    #: whether jobs are run here, where they are to be, and what failed so far that no job is to
    #: blame for
    trainer_up: bool = True
    trainer_failures: int = 0


class Metrics:
    """Observer of transports, predict calls, batches and loads."""

    def __init__(self, registry: CollectorRegistry, *, max_task_labels: int = 1000) -> None:
        # they would double every series, and nobody asks when one began
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._max_task_labels = max_task_labels
        self._tasks: dict[tuple[str, str], Counter] = {}
        self._methods: dict[tuple[str, str, str], Counter] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._requests = self._counter("requests", "Calls answered", "transport", "method", "code")
        self._request_seconds = self._histogram(
            "request_duration_seconds",
            "From a call's arrival to its answer",
            _SECONDS,
            "transport",
            "method",
        )
        ended = self._counter(
            "connections_ended", "HTTP connections that the server ended early", "reason"
        )
        self._connections_ended = {reason: ended.labels(reason) for reason in _ENDS}
        self._task_requests = self._counter(
            "task_requests", "Predict calls answered, by task", "tenant", "task"
        )
        self._inputs = self._counter("inputs", "Inputs of answered predict calls")
        self._tokens = self._counter("tokens", "Tokens of answered predict calls")
        self._row_errors = self._counter(
            "row_errors", "Inputs answered with an error of their own", "code"
        )
        self._queue_seconds = self._histogram(
            "queue_seconds", "From admission to the forward", _SECONDS
        )
        self._batch_rows = self._histogram("batch_rows", "Rows per forward", _COUNTS)
        self._batch_tokens = self._histogram("batch_tokens", "Tokens per forward", _TOKENS)
        self._batch_adapters = self._histogram(
            "batch_adapters", "Distinct adapters per forward", _COUNTS
        )
        loads = self._counter("adapter_loads", "Adapters brought to a tier", "tier")
        self._host_loads, self._slot_loads = loads.labels("host"), loads.labels("slot")
        self._load_failures = self._counter(
            "adapter_load_failures", "Adapters that could not be loaded"
        )
        self._load_seconds = self._histogram(
            "adapter_load_seconds", "From files to host memory", _LOAD_SECONDS
        )
        self._swaps = self._counter("swaps", "Adapters that left a slot to make room for another")
        self._train_jobs = Gauge(
            "adapterd_train_jobs", "Training jobs", ["state"], registry=registry
        )

    def watch(self, live: Callable[[], Live]) -> None:
        """Show what `live` says at each scrape."""
        self.registry.register(_LiveCollector(live))

    def render(self, jobs: Mapping[str, int]) -> bytes:
        """The scrape, in Prometheus's text format."""
        for state, number in jobs.items():
            self._train_jobs.labels(state).set(number)
        return generate_latest(self.registry)

    # ------------------------------------------------------------ observers

    def request(self, *, transport: str, method: str, code: str, seconds: float) -> None:
        """`method` and `code` come from our own tables, so their number is bounded."""
        counter = self._methods.get((transport, method, code))
        if counter is None:
            counter = self._methods[transport, method, code] = self._requests.labels(
                transport, method, code
            )
        histogram = self._durations.get((transport, method))
        if histogram is None:
            histogram = self._durations[transport, method] = self._request_seconds.labels(
                transport, method
            )
        counter.inc()
        histogram.observe(seconds)

    def connection_ended(self, reason: str) -> None:
        self._connections_ended[reason].inc()

    def predicted(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None:
        self._task_counter(tenant, task).inc()
        self._inputs.inc(num_inputs)
        self._tokens.inc(num_tokens)

    def row_failed(self, code: str) -> None:
        self._row_errors.labels(code).inc()

    def batch(
        self,
        *,
        num_rows: int,
        num_tokens: int,
        num_adapters: int,
        num_placed: int,
        num_swapped: int,
    ) -> None:
        self._batch_rows.observe(num_rows)
        self._batch_tokens.observe(num_tokens)
        self._batch_adapters.observe(num_adapters)
        self._slot_loads.inc(num_placed)
        self._swaps.inc(num_swapped)

    def queued(self, seconds: float) -> None:
        self._queue_seconds.observe(seconds)

    def loaded(self, seconds: float) -> None:
        self._host_loads.inc()
        self._load_seconds.observe(seconds)

    def load_failed(self) -> None:
        self._load_failures.inc()

    # ------------------------------------------------------------ inside

    def _task_counter(self, tenant: str, task: str) -> Counter:
        counter = self._tasks.get((tenant, task))
        if counter is not None:
            return counter
        if len(self._tasks) >= self._max_task_labels:
            return self._task_requests.labels(OTHER, OTHER)
        counter = self._tasks[tenant, task] = self._task_requests.labels(tenant, task)
        return counter

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"adapterd_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"adapterd_{name}", text, labels, buckets=buckets, registry=self.registry)


class _LiveCollector:
    """Gauges of `Live`, and the gauge by which gateways route to replicas that hold an adapter."""

    def __init__(self, live: Callable[[], Live]) -> None:
        self._live = live

    def describe(self) -> Iterable[Metric]:
        return []  # asked at registration, before there is anything to read

    def collect(self) -> Iterable[Metric]:
        live = self._live()
        for name, text, value in (
            ("queue_rows", "Rows waiting", live.queue_rows),
            ("queue_tokens", "Tokens waiting", live.queue_tokens),
            ("slots_used", "Slots that hold an adapter", live.slots_used),
            ("slots_total", "Slots there are", live.slots_total),
            ("loaded_adapters", "Adapters in host memory", live.loaded_adapters),
            ("loaded_bytes", "Bytes of adapters in host memory", live.loaded_bytes),
            ("engine_generation", "Engines started so far", live.engine_generation),
            ("num_requests_running", "Texts that write", live.texts_running),
            ("num_requests_waiting", "Texts that wait to write", live.texts_waiting),
            (
                "kv_cache_usage_perc",
                "Share of the memory for keys and values that running texts need",
                live.kv_cache_usage,
            ),
            ("trainer_up", "0 while no job can be run here", int(live.trainer_up)),
        ):
            yield GaugeMetricFamily(f"adapterd_{name}", text, value)
        yield CounterMetricFamily(
            "adapterd_trainer_failures", "Failures no job is to blame for", live.trainer_failures
        )
        yield self._gateway_gauge(live)

    def _gateway_gauge(self, live: Live) -> Metric:
        labels = ["max_lora", "running_lora_adapters", "waiting_lora_adapters"]
        gauge = GaugeMetricFamily(
            "vllm:lora_requests_info", "When these adapters ran and waited", labels=labels
        )
        gauge.add_metric(
            [str(live.slots_total), _names(live.running), _names(live.waiting)], time.time()
        )
        return gauge


def _names(names: Iterable[str]) -> str:
    return ",".join(sorted(set(names))[:_MAX_NAMES])
