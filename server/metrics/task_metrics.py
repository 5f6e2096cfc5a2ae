"""The numbers of single tasks, for so many tasks and no more: a label a caller chooses costs memory
for ever.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

OTHER = "other"
#: few, since every task has its own series of each
_SECONDS = (0.05, 0.25, 1, 5, 15, 60)


class TaskMetrics:
    """Tasks beyond `max_tasks` are counted together as `other`, until one that was counted apart is
    deleted.
    """

    def __init__(self, registry: CollectorRegistry, max_tasks: int) -> None:
        labels = ["tenant", "task"]
        self._max_tasks = max_tasks
        #: tasks counted apart, each with the codes its calls ended with
        self._codes: dict[tuple[str, str], set[str]] = {}
        self._requests = Counter(
            "adapterd_task_requests", "Predict calls that ended, by task", [*labels, "code"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "adapterd_task_request_duration_seconds",
            "From a predict call's arrival to its answer's end, by task", labels,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._tokens = Counter(
            "adapterd_task_tokens", "Tokens that answered predict calls read, by task", labels,
            registry=registry,
        )  # fmt: skip

    def observe_call(self, tenant: str, task: str, *, code: str, seconds: float) -> None:
        labels = self._labels(tenant, task)
        if labels in self._codes:
            self._codes[labels].add(code)
        self._requests.labels(*labels, code).inc()
        self._seconds.labels(*labels).observe(seconds)

    def count_tokens(self, tenant: str, task: str, num_tokens: int) -> None:
        self._tokens.labels(*self._labels(tenant, task)).inc(num_tokens)

    def forget(self, tenant: str, task: str) -> None:
        """A deleted task's series go with it, and another task may be counted apart."""
        codes = self._codes.pop((tenant, task), None)
        if codes is None:
            return
        for code in codes:
            self._requests.remove(tenant, task, code)
        for metric in (self._seconds, self._tokens):
            metric.remove(tenant, task)

    def _labels(self, tenant: str, task: str) -> tuple[str, str]:
        if (tenant, task) not in self._codes:
            if len(self._codes) >= self._max_tasks:
                return OTHER, OTHER
            self._codes[tenant, task] = set()
        return tenant, task
