"""Metrics by task, for a limited number of tasks: each label value that callers choose takes memory
until its task is deleted.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

OTHER = "other"
#: few, because every task has a series for each bucket
_SECONDS = (0.05, 0.25, 1, 5, 15, 60)


class TaskMetrics:
    """Tasks beyond `max_tasks` are counted together as `other`, until a task with labels of its own
    is deleted.
    """

    def __init__(self, registry: CollectorRegistry, max_tasks: int) -> None:
        labels = ["tenant", "task"]
        self._max_tasks = max_tasks
        #: tasks with labels of their own, each with the codes of its calls
        self._codes: dict[tuple[str, str], set[str]] = {}
        self._requests = Counter(
            "adapterd_task_requests",
            "Finished predict calls, by task",
            [*labels, "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "adapterd_task_request_duration_seconds",
            "Time from receiving a predict call to the end of its answer, by task",
            labels,
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "adapterd_task_tokens",
            "Input tokens of answered predict calls, by task",
            labels,
            registry=registry,
        )

    @property
    def tasks(self) -> list[tuple[str, str]]:
        """By tenant and name, those with labels of their own."""
        return list(self._codes)

    def observe_call(self, tenant: str, task: str, *, code: str, seconds: float) -> None:
        labels = self._labels(tenant, task)
        if labels in self._codes:
            self._codes[labels].add(code)
        self._requests.labels(*labels, code).inc()
        self._seconds.labels(*labels).observe(seconds)

    def count_tokens(self, tenant: str, task: str, num_tokens: int) -> None:
        self._tokens.labels(*self._labels(tenant, task)).inc(num_tokens)

    def forget(self, tenant: str, task: str) -> None:
        """Removes the series of a deleted task; another task may then have labels of its own."""
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
