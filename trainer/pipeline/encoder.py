"""Encodes a checked split once, for all runs of a job. Knows the base's tokenizer; no slot and no
run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.heads import is_generation
from engine.port import EngineInfo
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from trainer.dataset.encode import encode_examples, head_for
from trainer.dataset.prompt_rows import encode_prompt_rows, fit_max_tokens
from trainer.evaluation.activations import assign_keys
from trainer.heads.encoded import EncodedRow
from trainer.pipeline.prepare import Prepared
from trainer.readers.example import Example
from trainer.recipe.modules import frozen_share
from trainer.recipe.recipe import learning_rate, pooling_of
from trainer.training.run_config import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Encodes rows with the tokenizer of one base."""

    info: EngineInfo
    tokenizer: Tokenizer

    def run_config(self, prepared: Prepared) -> tuple[RunConfig, list[EncodedRow]]:
        """What to train on, and the test rows."""
        spec, split = prepared.spec, prepared.split
        settings, pooling = spec.settings, pooling_of(spec, self.info)
        head = head_for(spec.head, pooling, prepared.labels, split.train, settings)
        train, dev, test = assign_keys(
            *(
                self.rows(rows, head, settings.max_tokens)
                for rows in (split.train, split.dev, split.test)
            )
        )
        if is_generation(spec.head):
            head = fit_max_tokens(head, [*train, *dev, *test])
        run_config = RunConfig(
            train=train,
            dev=dev,
            head=head,
            settings=settings,
            learning_rate=learning_rate(spec),
            frozen_share=frozen_share(spec.kind, settings, self.info),
        )
        return run_config, test

    def as_served(self, examples: Sequence[Example], head: dict[str, Any]) -> list[EncodedRow]:
        return self.rows(list(examples), head, None)

    def rows(
        self, examples: list[Example], head: dict[str, Any], limit: int | None
    ) -> list[EncodedRow]:
        """The encoded rows of one part of the split, without keys."""
        if not is_generation(head["kind"]):
            return encode_examples(examples, head, self.tokenizer, limit)
        limit = min(limit or self.info.max_tokens, self.info.max_tokens)
        return encode_prompt_rows(examples, head, Prompter(self.info, self.tokenizer), limit)
