"""The metrics of transports, predict calls, batches and loads; `docs/metrics.md` lists all.

The label children of frequent calls are created once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from server.metrics.live_metrics import Live, LiveCollector
from server.metrics.task_metrics import TaskMetrics
from server.metrics.tenant_metrics import TenantMetrics

_SECONDS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.035, 0.05, 0.08, 0.13, 0.2, 0.3, 0.5,
    0.75, 1, 1.5, 2.5, 5, 10, 20, 30, 60,
)  # fmt: skip
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_LOAD_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
#: reasons for which the server closes a connection early
_ENDS = ("slow_head", "stalled", "evicted", "refused")
#: the label of calls that match no route and no gRPC method
UNMATCHED = "unmatched"


class Metrics:
    """Observer of transports, predict calls, batches and loads."""

    def __init__(
        self, registry: CollectorRegistry, *, max_task_labels: int = 1000, timeout_s: float = 60.0
    ) -> None:
        """`timeout_s` is the longest time of a call, so that every duration falls into a bucket."""
        # they would double the number of series
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.tasks = TaskMetrics(registry, max_task_labels)
        self.tenants = TenantMetrics(registry, max_task_labels)
        self._methods: dict[tuple[str, str, str], Counter] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._requests = self._counter("requests", "Calls answered", "transport", "method", "code")
        self._request_seconds = self._histogram(
            "request_duration_seconds",
            "Time from receiving a call to its answer",
            _up_to(timeout_s),
            "transport",
            "method",
        )
        ended = self._counter(
            "connections_ended", "Connections that the server closed early", "reason"
        )
        self._connections_ended = {reason: ended.labels(reason) for reason in _ENDS}
        self._inputs = self._counter("inputs", "Inputs of answered predict calls")
        self._tokens = self._counter("tokens", "Tokens of answered predict calls")
        self._row_errors = self._counter(
            "row_errors", "Inputs that were answered with an error", "code"
        )
        self._queue_seconds = self._histogram(
            "queue_seconds", "Time from admission to the forward", _up_to(timeout_s)
        )
        self._batch_rows = self._histogram("batch_rows", "Rows per forward", _COUNTS)
        self._batch_tokens = self._histogram("batch_tokens", "Tokens per forward", _TOKENS)
        self._batch_adapters = self._histogram(
            "batch_adapters", "Distinct adapters per forward", _COUNTS
        )
        loads = self._counter("adapter_loads", "Adapters loaded into host memory or a slot", "tier")
        self._host_loads, self._slot_loads = loads.labels("host"), loads.labels("slot")
        self._load_failures = self._counter(
            "adapter_load_failures", "Adapters that could not be loaded"
        )
        self._load_seconds = self._histogram(
            "adapter_load_seconds", "Time to load an adapter into host memory", _LOAD_SECONDS
        )
        self._swaps = self._counter("swaps", "Adapters evicted from a slot to place another")
        self._train_jobs = Gauge(
            "adapterd_train_jobs", "Training jobs", ["state"], registry=registry
        )

    def watch(self, live: Callable[[], Live], *, gateway: bool = True) -> None:
        """Adds the gauges of `live`; with `gateway` also the one for gateways."""
        self.registry.register(LiveCollector(live, self.tenants, gateway=gateway))

    def count_jobs(self, jobs: Mapping[str, int]) -> None:
        """Sets the number of jobs in each state."""
        for state, number in jobs.items():
            self._train_jobs.labels(state).set(number)

    # ------------------------------------------------------------ observers

    def observe_request(self, *, transport: str, method: str, code: str, seconds: float) -> None:
        """`method` and `code` come from tables, so the number of series is bounded."""
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

    def observe_connection_end(self, reason: str) -> None:
        self._connections_ended[reason].inc()

    def observe_predict(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None:
        self.tasks.count_tokens(tenant, task, num_tokens)
        self.tenants.add(tenant)
        self._inputs.inc(num_inputs)
        self._tokens.inc(num_tokens)

    def observe_task_call(self, *, tenant: str, task: str, code: str, seconds: float) -> None:
        self.tasks.observe_call(tenant, task, code=code, seconds=seconds)

    def forget_task(self, tenant: str, task: str) -> None:
        self.tasks.forget(tenant, task)

    def forget_tenant(self, tenant: str) -> None:
        self.tenants.forget(tenant)

    def observe_refusal(self, tenant: str) -> None:
        self.tenants.count_refusal(tenant)

    def observe_row_error(self, code: str) -> None:
        self._row_errors.labels(code).inc()

    def observe_batch(
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

    def observe_queue_time(self, seconds: float) -> None:
        self._queue_seconds.observe(seconds)

    def observe_load(self, seconds: float) -> None:
        self._host_loads.inc()
        self._load_seconds.observe(seconds)

    def observe_load_failure(self) -> None:
        self._load_failures.inc()

    # ------------------------------------------------------------ inside

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"adapterd_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"adapterd_{name}", text, labels, buckets=buckets, registry=self.registry)


def _up_to(longest_s: float) -> tuple[float, ...]:
    """The usual buckets, continued by doubling until the last one holds `longest_s`."""
    seconds = list(_SECONDS)
    while seconds[-1] < longest_s:
        seconds.append(seconds[-1] * 2)
    return tuple(seconds)
