"""Reads a server's Prometheus metrics for the demo."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

#: the metrics that the demo prints
SHOWN = (
    "adapterd_requests_total",
    "adapterd_batch_adapters",
    "adapterd_slots_used",
    "adapterd_slots_capacity",
    "adapterd_adapter_loads_total",
    "adapterd_train_jobs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """One scrape of the metrics port."""

    text: str

    @classmethod
    async def fetch(cls, url: str) -> MetricsPage:
        async with httpx.AsyncClient(trust_env=False) as http:
            return cls(text=(await http.get(url)).text)

    def count_forwards(self) -> tuple[int, int]:
        """The number of forward passes, and of those with rows of two or more adapters."""
        total = self._sum("adapterd_batch_adapters_count")
        single = self._sum("adapterd_batch_adapters_bucket", le="1.0")
        return int(total), int(total - single)

    def lines(self) -> list[str]:
        """The samples to print, without buckets, zeros and the demo's own polling."""
        lines = [line for line in self.text.splitlines() if line.startswith(SHOWN)]
        hidden = ("_bucket", "_created", "/health/", "GetJob", "WatchJob", "/v1/info")
        return [
            line
            for line in lines
            if not line.endswith(" 0.0") and not any(word in line for word in hidden)
        ]

    def _sum(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
