"""A typical training loop over a stock model, with PEFT's LoRA or full fine-tuning.

Float32; batches padded to their longest row; dev is evaluated after each epoch, and the best epoch
is evaluated on test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from scipy.stats import pearsonr
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from benchmarks.quality_tasks import Rows
from trainer.readers.example import Example
from trainer.settings.settings import TrainingSettings

_IGNORED = -100
_POOL_BATCHES = 16


class PlainLoop:
    """One run on the rows and settings of a claim; `rate` is the peak learning rate.

    `full` trains the whole model, `alike` makes batches of rows of similar length.
    """

    def __init__(
        self,
        base: str,
        head: str,
        rows: Rows,
        settings: TrainingSettings,
        rate: float,
        *,
        full: bool,
        alike: bool,
    ) -> None:
        self._alike = alike
        self._head, self._rows, self._settings, self._rate = head, rows, settings, rate
        values = [float(r.label) for r in rows.split.train if isinstance(r.label, float)]
        self._mean = float(np.mean(values)) if values else 0.0
        self._std = float(np.std(values)) if values else 1.0
        torch.manual_seed(settings.seed)
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        tags = head == "tag"
        kind = AutoModelForTokenClassification if tags else AutoModelForSequenceClassification
        model = kind.from_pretrained(base, num_labels=len(rows.labels) or 1)
        self._model: Any = model if full else self._add_lora(model)

    def run(self) -> tuple[float, float]:
        """The metric of the best epoch on dev, and that epoch's metric on test."""
        split, settings = self._rows.split, self._settings
        steps = settings.epochs * -(-len(split.train) // settings.batch_rows)
        trained = [p for p in self._model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self._rate, weight_decay=settings.weight_decay)
        warm_up = int(settings.warmup_share * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warm_up, steps)
        best, kept = -np.inf, copy.deepcopy(self._model.state_dict())
        for _ in range(settings.epochs):
            self._epoch(optimizer, schedule, trained)
            if (reached := self._judge(split.dev)) > best:
                best, kept = reached, copy.deepcopy(self._model.state_dict())
        self._model.load_state_dict(kept)
        return float(best), self._judge(split.test)

    def _epoch(self, optimizer: Any, schedule: Any, trained: list[Any]) -> None:
        self._model.train()
        for part in self._batches():
            optimizer.zero_grad()
            self._loss(part).backward()
            torch.nn.utils.clip_grad_norm_(trained, self._settings.max_grad_norm)
            optimizer.step()
            schedule.step()

    def _batches(self) -> list[list[Example]]:
        """Shuffled batches; with `alike`, grouped within a pool as `group_by_length` does it."""
        size = self._settings.batch_rows
        rows = [self._rows.split.train[i] for i in torch.randperm(len(self._rows.split.train))]
        if not self._alike:
            return [rows[i : i + size] for i in range(0, len(rows), size)]
        batches = []
        for start in range(0, len(rows), pool := size * _POOL_BATCHES):
            near = sorted(rows[start : start + pool], key=lambda r: len(r.text))
            batches += [near[i : i + size] for i in range(0, len(near), size)]
        return [batches[i] for i in torch.randperm(len(batches)).tolist()]

    def _loss(self, rows: Sequence[Example]) -> torch.Tensor:
        batch = self._batch(rows)
        if self._head == "regress":
            values = torch.tensor([(float(r.label) - self._mean) / self._std for r in rows])  # type: ignore[arg-type]
            logits = self._model(**batch).logits.squeeze(-1)
            return torch.nn.functional.mse_loss(logits, values.to(logits.dtype))
        index = self._rows.labels.index
        if self._head == "classify":
            targets = torch.tensor([index(str(r.label)) for r in rows])
        else:
            targets = torch.full(batch["input_ids"].shape, _IGNORED)
            for number, row in enumerate(rows):
                for position, word in _first_tokens(batch.word_ids(number)):
                    targets[number, position] = index(row.label[word])  # type: ignore[index]
        loss: torch.Tensor = self._model(**batch, labels=targets).loss
        return loss

    @torch.inference_mode()
    def _judge(self, rows: Sequence[Example]) -> float:
        self._model.eval()
        truth: list[Any] = []
        answers: list[Any] = []
        ordered = sorted(rows, key=lambda r: len(r.text))
        for start in range(0, len(ordered), 32):
            part = ordered[start : start + 32]
            batch = self._batch(part)
            answers += self._answers(part, batch, self._model(**batch).logits)
            truth += [list(r.label) if isinstance(r.label, tuple) else r.label for r in part]
        return float(_METRICS[self._head](truth, answers))

    def _answers(self, rows: Sequence[Example], batch: Any, logits: torch.Tensor) -> list[Any]:
        if self._head == "regress":
            return list(logits.squeeze(-1).tolist())
        best = logits.argmax(-1).tolist()
        if self._head == "classify":
            return [self._rows.labels[index] for index in best]
        answers = [["O"] * len(row.words) for row in rows]
        for number, tags in enumerate(answers):
            for position, word in _first_tokens(batch.word_ids(number)):
                tags[word] = self._rows.labels[best[number][position]]
        return answers

    def _batch(self, rows: Sequence[Example]) -> Any:
        words = self._head == "tag"
        texts = [list(row.words) if words else row.text for row in rows]
        return self._tokenizer(
            texts, is_split_into_words=words, padding=True, truncation=True, return_tensors="pt"
        )

    def _add_lora(self, model: Any) -> Any:
        """Adds a LoRA to the linears of the upper layers, as many as the settings say."""
        settings, depth = self._settings, model.config.num_hidden_layers
        shares = {"all": depth, "half": (depth + 1) // 2}
        first = depth - int(shares.get(settings.layers, settings.layers))  # type: ignore[arg-type]
        task = "TOKEN_CLS" if self._head == "tag" else "SEQ_CLS"
        config = LoraConfig(
            task_type=task, r=settings.rank, lora_alpha=settings.alpha or settings.rank,
            lora_dropout=settings.dropout, layers_to_transform=list(range(first, depth)),
            target_modules=["query", "key", "value", "dense"], layers_pattern="layer",
        )  # fmt: skip
        return get_peft_model(model, config)


def _first_tokens(words: list[int | None]) -> list[tuple[int, int]]:
    before = [None, *words]
    return [(i, w) for i, w in enumerate(words) if w is not None and w != before[i]]


def _pearson(truth: list[float], answers: list[float]) -> float:
    return float(pearsonr(truth, answers).statistic)


_METRICS: dict[str, Callable[..., float]] = {
    "tag": f1_score, "regress": _pearson, "classify": accuracy_score,
}  # fmt: skip
