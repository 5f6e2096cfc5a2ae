"""Gauges of the current state, read at each scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.metrics.tenant_metrics import TenantMetrics

#: names in a label for gateways; a longer label would be useless to them
_MAX_NAMES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The current state of queues, slots, adapters, generations and the trainer."""

    queue_rows: int
    queue_tokens: int
    slots_used: int
    slots_capacity: int
    loaded_adapters: int
    loaded_bytes: int
    engine_generation: int
    running: Iterable[str]
    waiting: Iterable[str]
    #: tokens in the queues by tenant
    tenant_tokens: Mapping[str, int] = field(default_factory=dict)
    #: generations that run and that wait, and the share of the KV cache that is used
    num_running: int = 0
    num_waiting: int = 0
    kv_cache_usage: float = 0.0
    #: whether jobs can run here, and how many failures of the trainer no job caused
    trainer_up: bool = True
    trainer_failures: int = 0
    #: how long ago the last look at the changes of other servers succeeded
    registry_age_s: float = 0.0
    #: stored files that this server put into quarantine
    blobs_quarantined: int = 0


class LiveCollector(Collector):
    """Gauges of `Live`, and with `gateway` the one by which gateways route calls to replicas that
    hold the adapter.
    """

    def __init__(self, live: Callable[[], Live], tenants: TenantMetrics, *, gateway: bool) -> None:
        self._live, self._tenants, self._gateway = live, tenants, gateway

    def describe(self) -> Iterable[Metric]:
        return []  # called at registration, before there is anything to read

    def collect(self) -> Iterable[Metric]:
        live = self._live()
        for name, text, value in (
            ("queue_rows", "Rows waiting", live.queue_rows),
            ("queue_tokens", "Tokens waiting", live.queue_tokens),
            ("slots_used", "Slots that hold an adapter", live.slots_used),
            ("slots_capacity", "Slots for serving", live.slots_capacity),
            ("loaded_adapters", "Adapters in host memory", live.loaded_adapters),
            ("loaded_bytes", "Bytes of adapters in host memory", live.loaded_bytes),
            ("engine_generation", "Engines started so far", live.engine_generation),
            ("num_requests_running", "Generations that run", live.num_running),
            ("num_requests_waiting", "Generations that wait", live.num_waiting),
            (
                "kv_cache_usage_perc",
                "Share of the KV cache that running generations use",
                live.kv_cache_usage,
            ),
            (
                "registry_age_seconds",
                "Time since the changes of other servers were last looked at",
                live.registry_age_s,
            ),
            ("trainer_up", "0 while no job can run in this server", int(live.trainer_up)),
        ):
            yield GaugeMetricFamily(f"adapterd_{name}", text, value)
        yield self._tenants.queue_gauge(live.tenant_tokens)
        yield CounterMetricFamily(
            "adapterd_trainer_failures",
            "Failures of the trainer that no job caused",
            live.trainer_failures,
        )
        yield CounterMetricFamily(
            "adapterd_blobs_quarantined",
            "Stored files whose content was wrong, and that this server put into quarantine",
            live.blobs_quarantined,
        )
        if self._gateway:
            yield self._gateway_gauge(live)

    def _gateway_gauge(self, live: Live) -> Metric:
        labels = ["max_lora", "running_lora_adapters", "waiting_lora_adapters"]
        gauge = GaugeMetricFamily(
            "vllm:lora_requests_info", "Adapters with running and waiting calls", labels=labels
        )
        gauge.add_metric(
            [str(live.slots_capacity), _names(live.running), _names(live.waiting)], time.time()
        )
        return gauge


def _names(names: Iterable[str]) -> str:
    return ",".join(sorted(set(names))[:_MAX_NAMES])
