"""The metrics of generation, with vLLM's names; `docs/metrics.md` lists all."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from server.observers import BatchObserver

_FIRST_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1, 2, 4, 8, 15, 30, 60)
_GAP_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2)


class GenerationMetrics:
    """A `GenerationObserver`; it passes on what concerns forwards."""

    def __init__(self, registry: CollectorRegistry, forwards: BatchObserver) -> None:
        self.observe_batch = forwards.observe_batch
        self.observe_queue_time = forwards.observe_queue_time
        self._first_seconds = Histogram(
            "adapterd_time_to_first_token_seconds",
            "Time from admission to the first token",
            buckets=_FIRST_SECONDS,
            registry=registry,
        )
        self._gap_seconds = Histogram(
            "adapterd_inter_token_latency_seconds",
            "Time between two tokens of a generation",
            buckets=_GAP_SECONDS,
            registry=registry,
        )
        self._prompt_tokens = Counter(
            "adapterd_prompt_tokens", "Prompt tokens of started generations", registry=registry
        )
        self._generation_tokens = Counter(
            "adapterd_generation_tokens", "Generated tokens", registry=registry
        )
        self._queries = Counter(
            "adapterd_prefix_cache_queries",
            "Prompt tokens looked up in the prefix cache",
            registry=registry,
        )
        self._hits = Counter(
            "adapterd_prefix_cache_hits",
            "Prompt tokens found in the prefix cache",
            registry=registry,
        )
        self._ended = Counter(
            "adapterd_request_success",
            "Finished generations, by reason",
            ["finished_reason"],
            registry=registry,
        )

    def observe_first_token(self, *, after_s: float, num_prompt: int, num_cached: int) -> None:
        self._first_seconds.observe(after_s)
        self._prompt_tokens.inc(num_prompt)
        self._queries.inc(num_prompt)
        self._hits.inc(num_cached)

    def observe_tokens(self, *, num_tokens: int, after_s: float | None) -> None:
        self._generation_tokens.inc(num_tokens)
        if after_s is not None:
            self._gap_seconds.observe(after_s)

    def observe_finish(self, *, reason: str) -> None:
        self._ended.labels(reason).inc()
