"""Metrics by tenant, for a limited number of tenants: each label value takes memory until the
tenant's last key is revoked.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric

from server.metrics.task_metrics import OTHER


class TenantMetrics:
    """Tenants beyond `max_tenants` are counted together as `other`, until a tenant with a label of
    its own is gone.
    """

    def __init__(self, registry: CollectorRegistry, max_tenants: int) -> None:
        self._max_tenants = max_tenants
        self._refusals = Counter(
            "adapterd_tenant_refusals",
            "Calls refused because as much of the tenant waits as may",
            ["tenant"],
            registry=registry,
        )
        #: the refusals of each tenant with a label of its own
        self._tenants: dict[str, Counter] = {}

    def add(self, tenant: str) -> Counter:
        """The refusals of the tenant, whose series begins at 0."""
        counter = self._tenants.get(tenant)
        if counter is None:
            label = tenant if len(self._tenants) < self._max_tenants else OTHER
            counter = self._refusals.labels(label)
            if label == tenant:
                self._tenants[tenant] = counter
        return counter

    def count_refusal(self, tenant: str) -> None:
        self.add(tenant).inc()

    def forget(self, tenant: str) -> None:
        """Removes the series of a tenant; another one may then have a label of its own."""
        if self._tenants.pop(tenant, None) is not None:
            self._refusals.remove(tenant)

    def queue_gauge(self, tokens: Mapping[str, int]) -> Metric:
        """The tokens that wait of each tenant now."""
        for tenant in tokens:
            self.add(tenant)
        labelled = Counts[str](dict.fromkeys(self._tenants, 0))
        for tenant, number in tokens.items():
            labelled[tenant if tenant in self._tenants else OTHER] += number
        gauge = GaugeMetricFamily(
            "adapterd_tenant_queue_tokens", "Tokens waiting, by tenant", labels=["tenant"]
        )
        for label, number in labelled.items():
            gauge.add_metric([label], number)
        return gauge
