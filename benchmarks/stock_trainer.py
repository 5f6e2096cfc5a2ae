"""The peer: Hugging Face `Trainer` with PEFT's LoRA, on the same rows and settings.

It runs as documented, or tuned: batches of rows of similar length, larger evaluation batches, with
or without bfloat16 autocast. It runs in its own process: `python -m benchmarks.stock_trainer`
reads a run as JSON and prints its line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any

WAYS = ("Trainer + PEFT, defaults", "Trainer + PEFT, tuned", "Trainer + PEFT, tuned, bf16")
#: without these, glibc returns freed memory and faults it in again at each step
_KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
_PACKAGES = ("torch", "transformers", "peft", "accelerate")


def run(spec: dict[str, Any], threads: int) -> dict[str, Any]:
    """One run's line: scores, seconds, steps, versions and conditions."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.stock_trainer"],
        input=json.dumps({**spec, "threads": threads}),
        env={**os.environ, **_KEEP, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    line: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return line


def main() -> None:
    spec = json.load(sys.stdin)
    warnings.filterwarnings("ignore")
    import torch  # after the environment sets the number of threads
    import transformers

    torch.set_num_threads(spec["threads"])
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        trainer, test = _trainer(spec, scratch)
        trainer.train()
        dev = trainer.evaluate()["eval_accuracy"]
        score = trainer.predict(test).metrics["test_accuracy"]
        seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "way": spec["way"], "settings": spec["settings"], "rows": spec["digest"],
                "threads": spec["threads"], "dev": dev, "test": score,
                "steps": trainer.state.global_step, "seconds": round(seconds, 1),
                "versions": {name: version(name) for name in _PACKAGES},
            }
        )
    )  # fmt: skip


def _trainer(spec: dict[str, Any], scratch: str) -> tuple[Any, list[dict[str, Any]]]:
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, set_seed

    settings, labels = spec["settings"], spec["labels"]
    set_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(spec["base"])
    parts = [
        [
            {**tokenizer(text, truncation=True), "labels": labels.index(label)}
            for text, label in spec[part]
        ]
        for part in ("train", "dev", "test")
    ]
    trainer = Trainer(
        model=_model(spec),
        args=_arguments(spec, scratch, len(parts[0])),
        train_dataset=parts[0],
        eval_dataset=parts[1],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_accuracy,
    )
    return trainer, parts[2]


def _arguments(spec: dict[str, Any], scratch: str, num_rows: int) -> Any:
    from transformers import TrainingArguments

    settings = spec["settings"]
    steps = settings["epochs"] * -(-num_rows // settings["batch_rows"])
    tuned = {
        "train_sampling_strategy": "group_by_length", "per_device_eval_batch_size": 64,
        "dataloader_pin_memory": False, "logging_strategy": "no", "bf16": spec["way"] == WAYS[2],
    }  # fmt: skip
    return TrainingArguments(
        output_dir=scratch, num_train_epochs=settings["epochs"], seed=settings["seed"],
        per_device_train_batch_size=settings["batch_rows"], use_cpu=True,
        learning_rate=settings["learning_rate"], weight_decay=settings["weight_decay"],
        warmup_steps=int(settings["warmup_share"] * steps), eval_strategy="epoch",
        save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="accuracy",
        disable_tqdm=True, **({} if spec["way"] == WAYS[0] else tuned),
    )  # fmt: skip


def _model(spec: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    settings = spec["settings"]
    model = AutoModelForSequenceClassification.from_pretrained(
        spec["base"], num_labels=len(spec["labels"])
    )
    depth = model.config.num_hidden_layers
    config = LoraConfig(
        task_type="SEQ_CLS", r=settings["rank"], lora_alpha=settings["rank"],
        lora_dropout=settings["dropout"], target_modules=["query", "key", "value", "dense"],
        layers_to_transform=list(range(depth - settings["layers"], depth)), layers_pattern="layer",
    )  # fmt: skip
    return get_peft_model(model, config)


def _accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


if __name__ == "__main__":
    main()
