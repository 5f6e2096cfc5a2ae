"""The numbers of texts being written, named as vLLM names them. `docs/metrics.md` lists all."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from server.observers import BatchObserver

_FIRST_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1, 2, 4, 8, 15, 30, 60)
_GAP_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2)


class GenerationMetrics:
    """A `GenerationObserver`; what it hears of forwards it passes on."""

    def __init__(self, registry: CollectorRegistry, forwards: BatchObserver) -> None:
        self.observe_batch = forwards.observe_batch
        self.observe_queue_time = forwards.observe_queue_time
        self._first_seconds = Histogram(
            "adapterd_time_to_first_token_seconds", "From a text's admission to its first token",
            buckets=_FIRST_SECONDS, registry=registry,
        )  # fmt: skip
        self._gap_seconds = Histogram(
            "adapterd_inter_token_latency_seconds", "From one token of a text to the next",
            buckets=_GAP_SECONDS, registry=registry,
        )  # fmt: skip
        self._prompt_tokens = Counter(
            "adapterd_prompt_tokens", "Tokens of prompts read", registry=registry
        )
        self._generation_tokens = Counter(
            "adapterd_generation_tokens", "Tokens written", registry=registry
        )
        self._queries = Counter(
            "adapterd_prefix_cache_queries", "Tokens of prompts looked for among those read before",
            registry=registry,
        )  # fmt: skip
        self._hits = Counter(
            "adapterd_prefix_cache_hits", "Tokens of prompts that had been read before",
            registry=registry,
        )  # fmt: skip
        self._ended = Counter(
            "adapterd_request_success", "Texts that ended, by reason", ["finished_reason"],
            registry=registry,
        )  # fmt: skip

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
