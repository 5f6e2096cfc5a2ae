"""The input of an estimate: the counts of a job's rows, and a sample with the same lengths. Does
not call the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.evaluation.activations import assign_keys
from trainer.heads.encoded import EncodedRow
from trainer.jobs.stored_job import spec_of
from trainer.pipeline.encoder import Encoder
from trainer.pipeline.prepare import Prepared
from trainer.readers.example import Example
from trainer.recipe.recipe import PROMPT
from trainer.training.run_config import RunConfig

#: batches that are timed, and how large they are at most: time goes by tokens, not by rows
SAMPLE_BATCHES = 3
SAMPLE_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Plain data. Of a prompt nothing is trained, so there are no rows and no head."""

    #: as it would be trained, as JSON
    spec: dict[str, Any]
    sizes: dict[str, int]
    warnings: list[str]
    #: of the data checks, as JSON
    findings: list[dict[str, Any]]
    #: of each part
    tokens: dict[str, int] = field(default_factory=dict)
    steps_per_epoch: int = 0
    #: what reading and encoding all rows took
    reading_s: float = 0.0
    head: dict[str, Any] = field(default_factory=dict)
    frozen_share: float = 0.0
    train: list[Example] = field(default_factory=list)
    dev: list[Example] = field(default_factory=list)

    def run_config(self, info: EngineInfo, tokenizer: Tokenizer) -> RunConfig:
        """The sample as rows, at a rate that harms nothing."""
        settings = spec_of(self.spec, self.spec["tenant"]).settings
        encoder = Encoder(info=info, tokenizer=tokenizer)
        train, dev = assign_keys(
            *(encoder.rows(rows, self.head, settings.max_tokens) for rows in (self.train, self.dev))
        )
        rows = min(settings.batch_rows, SAMPLE_ROWS)
        return RunConfig(
            train=train,
            dev=dev,
            head=self.head,
            learning_rate=1e-6,
            settings=settings.model_copy(update={"epochs": 2, "patience": 2, "batch_rows": rows}),
            frozen_share=self.frozen_share,
        )


def take_sample(
    prepared: Prepared,
    info: EngineInfo,
    tokenizer: Tokenizer,
    clock: Callable[[], float] = time.monotonic,
) -> Sample:
    spec = prepared.spec
    known: dict[str, Any] = {
        "spec": spec.to_json(),
        "sizes": dict(prepared.split.sizes),
        "warnings": list(prepared.warnings),
        "findings": [finding.to_json() for finding in prepared.findings],
    }
    if spec.kind == PROMPT:
        return Sample(**known)
    begun = clock()
    run_config, test = Encoder(info=info, tokenizer=tokenizer).run_config(prepared)
    num = SAMPLE_BATCHES * min(spec.settings.batch_rows, SAMPLE_ROWS)
    parts = {"train": run_config.train, "dev": run_config.dev, "test": test}
    return Sample(
        **known,
        tokens={part: num_tokens(rows) for part, rows in parts.items()},
        steps_per_epoch=run_config.steps_per_epoch,
        reading_s=clock() - begun,
        head=run_config.head,
        frozen_share=run_config.frozen_share,
        train=_spread(run_config.train, num),
        dev=_spread(run_config.dev or test, num),
    )


def num_tokens(rows: Sequence[EncodedRow]) -> int:
    return sum(row.num_tokens for row in rows)


def _spread(rows: Sequence[EncodedRow], num: int) -> list[Example]:
    """So many, evenly over their lengths."""
    ordered = sorted(rows, key=lambda row: row.num_tokens)
    num = min(num, len(ordered))
    places = [(2 * place + 1) * len(ordered) // (2 * num) for place in range(num)]
    return [ordered[place].example for place in places]
