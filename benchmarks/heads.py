"""Entities and numbers: this trainer beside a plain PEFT loop, same rows, same recipe, same budget.

`python -m benchmarks.heads --data ../shared/data`: named entities of tweets (entity F1 by seqeval)
and scores of tweets (Pearson), 80/10/10 by split seed 0. Both ways train the same LoRA at the same
linears with the stock head, judge dev after each epoch and keep the best epoch for test.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from scipy.stats import pearsonr
from seqeval.metrics import f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from benchmarks.measure import conditions, table
from benchmarks.training import BASE, Ours
from engine.heads.head_kind import IGNORED
from engine.source import base_path
from trainer.example import Example
from trainer.prepare import Prepared, prepare
from trainer.recipe import learning_rate
from trainer.settings import TrainingSettings
from trainer.values import JobSpec

DATA = Path(__file__).parents[2] / "shared" / "data"
SPLIT = {"test_share": 0.1, "dev_share": 1 / 9}  # dev is a share of what test leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One head on one file, and the metric that counts."""

    head: str
    file: str
    metric: str
    settings: dict[str, Any]
    columns: dict[str, str]


CLAIMS = {
    "entities of tweets": Claim(
        head="tag", file="tweets_ner.conll", metric="f1", columns={},
        settings={"epochs": 12, "patience": 12, "layers": 6, "rank": 16, "alpha": 32},
    ),
    "scores of tweets": Claim(
        head="regress", file="tweets.jsonl", metric="pearson", columns={"label_column": "score"},
        settings={"epochs": 5, "patience": 5},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one way reached on test, and what it took."""

    test: float
    seconds: float


def ours(bench: Ours, spec: JobSpec, metric: str) -> Outcome:
    started = time.perf_counter()
    job = bench.trainer.submit(spec)
    bench.trainer.run_once()
    seconds = time.perf_counter() - started
    job = bench.trainer.get(spec.tenant, job.id)
    assert job.status == "succeeded", (job.error_code, job.error_message)
    return Outcome(test=job.result["metrics"]["test"][metric], seconds=seconds)


class PeftLoop:
    """The plain loop: fp32, shuffled batches padded to their longest row."""

    def __init__(self, bench: Ours, spec: JobSpec) -> None:
        self._prepared: Prepared = prepare(bench.files, spec)
        self._spec, self._settings = spec, spec.settings
        values = [float(r.label) for r in self._prepared.split.train if isinstance(r.label, float)]
        self._mean = float(np.mean(values)) if values else 0.0
        self._std = float(np.std(values)) if values else 1.0
        torch.manual_seed(self._settings.seed)
        self._tokenizer = AutoTokenizer.from_pretrained(base_path(BASE))
        self._model = self._peft_model(bench)

    def run(self) -> Outcome:
        started = time.perf_counter()
        split, settings = self._prepared.split, self._settings
        steps = settings.epochs * -(-len(split.train) // settings.batch_rows)
        trained = [p for p in self._model.parameters() if p.requires_grad]
        rate, decay = learning_rate(self._spec), settings.weight_decay
        optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=decay)
        warm_up = int(settings.warmup_share * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warm_up, steps)
        best, kept = -np.inf, copy.deepcopy(self._model.state_dict())
        for _ in range(settings.epochs):
            self._epoch(optimizer, schedule, trained)
            if (reached := self._judge(split.dev)) > best:
                best, kept = reached, copy.deepcopy(self._model.state_dict())
        self._model.load_state_dict(kept)
        return Outcome(test=self._judge(split.test), seconds=time.perf_counter() - started)

    def _epoch(self, optimizer: Any, schedule: Any, trained: list[Any]) -> None:
        self._model.train()
        rows = self._prepared.split.train
        order = torch.randperm(len(rows)).tolist()
        for start in range(0, len(order), self._settings.batch_rows):
            part = [rows[i] for i in order[start : start + self._settings.batch_rows]]
            optimizer.zero_grad()
            self._loss(part).backward()
            torch.nn.utils.clip_grad_norm_(trained, self._settings.max_grad_norm)
            optimizer.step()
            schedule.step()

    def _loss(self, rows: Sequence[Example]) -> torch.Tensor:
        batch = self._batch(rows)
        if self._spec.head != "tag":
            values = torch.tensor([(float(r.label) - self._mean) / self._std for r in rows])  # type: ignore[arg-type]
            return torch.nn.functional.mse_loss(self._model(**batch).logits.squeeze(-1), values)
        targets = torch.full(batch["input_ids"].shape, IGNORED)
        for number, row in enumerate(rows):
            for position, word in _first_tokens(batch.word_ids(number)):
                targets[number, position] = self._prepared.labels.index(row.label[word])  # type: ignore[index]
        loss: torch.Tensor = self._model(**batch, labels=targets).loss
        return loss

    @torch.inference_mode()
    def _judge(self, rows: Sequence[Example]) -> float:
        self._model.eval()
        answers: list[Any] = []
        for start in range(0, len(rows), 32):
            part = rows[start : start + 32]
            batch = self._batch(part)
            logits = self._model(**batch).logits
            if self._spec.head != "tag":
                answers += logits.squeeze(-1).tolist()
                continue
            for number, row in enumerate(part):
                tags, best = ["O"] * len(row.words), logits[number].argmax(-1).tolist()
                for position, word in _first_tokens(batch.word_ids(number)):
                    tags[word] = self._prepared.labels[best[position]]
                answers.append(tags)
        truth = [list(r.label) if isinstance(r.label, tuple) else r.label for r in rows]
        judge: Callable[..., Any] = f1_score if self._spec.head == "tag" else _pearson
        return float(judge(truth, answers))

    def _batch(self, rows: Sequence[Example]) -> Any:
        words = self._spec.head == "tag"
        given = [list(row.words) if words else row.text for row in rows]
        return self._tokenizer(
            given, is_split_into_words=words, padding=True, truncation=True, return_tensors="pt"
        )

    def _peft_model(self, bench: Ours) -> Any:
        settings, info = self._settings, bench.port.info
        first = info.num_layers - int(settings.layers or (info.num_layers + 1) // 2)  # type: ignore[arg-type]
        kind, task = (
            (AutoModelForTokenClassification, "TOKEN_CLS")
            if self._spec.head == "tag"
            else (AutoModelForSequenceClassification, "SEQ_CLS")
        )
        model = kind.from_pretrained(base_path(BASE), num_labels=len(self._prepared.labels) or 1)
        config = LoraConfig(
            task_type=task, r=settings.rank, lora_alpha=settings.alpha or settings.rank,
            lora_dropout=settings.dropout,
            target_modules=[site.name for site in info.sites if site.layer >= first],
        )  # fmt: skip
        return get_peft_model(model, config)


def _first_tokens(words: list[int | None]) -> list[tuple[int, int]]:
    before = [None, *words]
    return [(i, w) for i, w in enumerate(words) if w is not None and w != before[i]]


def _pearson(truth: list[float], answers: list[float]) -> float:
    return float(pearsonr(truth, answers).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", choices=sorted(CLAIMS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON")
    parser.add_argument("--no-peers", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Ours(Path(scratch), args.threads, args.dtype)
        rows = [
            row
            for name, claim in CLAIMS.items()
            if args.only in (None, name)
            for row in _compared(bench, name, claim, args)
        ]
        bench.port.close()
    heading = ["task", "metric", "training seed", "way", "on test", "seconds"]
    print("\n".join([conditions("peft"), "", table(heading, rows)]))


def _compared(bench: Ours, name: str, claim: Claim, args: argparse.Namespace) -> list[list[str]]:
    content = (args.data / claim.file).read_bytes()
    file = bench.files.put("default", claim.file, "fine-tune", [content], 2**30)
    given = {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    rows = []
    for seed in args.seeds:
        settings = TrainingSettings.parse({**SPLIT, **claim.settings, **given, "seed": seed})
        spec = JobSpec(
            tenant="default", task=f"{claim.head}-{seed}", file_id=file.id, head=claim.head,
            pooling="native", settings=settings, **claim.columns,  # type: ignore[arg-type]
        )  # fmt: skip
        ways: dict[str, Callable[[], Outcome]] = {
            f"adapterd ({bench.port.info.dtype})": partial(ours, bench, spec, claim.metric)
        }
        if not args.no_peers:
            ways["PEFT + PyTorch loop, fp32"] = lambda spec=spec: PeftLoop(bench, spec).run()
        for way, run in ways.items():
            outcome = run()
            cells = [name, claim.metric, str(seed), way]
            rows.append([*cells, f"{outcome.test:.4f}", f"{outcome.seconds:.1f}"])
            print(*rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
