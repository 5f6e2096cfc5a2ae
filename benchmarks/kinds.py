"""Every adapter kind on tweet sentiment: accuracy, trained weights and time.

`python -m benchmarks.kinds --data ../shared/data/tweets.jsonl`. Whole jobs at each kind's default
settings, except the bottlenecks, whose width gives them about as many weights as the LoRA.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import conditions, table
from benchmarks.training import EXAMPLE, Ours, Outcome, sentiment
from trainer.settings.settings import TrainingSettings

#: by name: the kind and its non-default settings
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora, rank 8": ("lora", {}),
    "lora, rank 8, dora": ("lora", {"dora": True}),
    "bottleneck, houlsby, width 32": ("bottleneck", {"variant": "houlsby", "reduction": 12}),
    "bottleneck, pfeiffer, width 64": ("bottleneck", {"variant": "pfeiffer", "reduction": 6}),
    "bottleneck, parallel, width 64": ("bottleneck", {"variant": "parallel", "reduction": 6}),
    "ia3": ("ia3", {}),
    "bias": ("bias", {}),
    "head_only": ("head_only", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=EXAMPLE)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="run only these kinds (substrings)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    names = [n for n in KINDS if not args.only or any(part in n for part in args.only)]
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), args.threads, "auto")
        data = sentiment(args.data)
        results: dict[str, list[Outcome]] = {name: [] for name in names}
        for seed in args.seeds:
            for name in names:
                kind, overrides = KINDS[name]
                settings = TrainingSettings.parse({"seeds": 1, **overrides})
                outcome = ours.run(data, "native", seed, settings, kind)[0]
                results[name].append(outcome)
                print(name, seed, outcome, flush=True)
        ours.port.close()
    print("\n".join([conditions(), "", _report(results)]))


def _report(results: dict[str, list[Outcome]]) -> str:
    heading = ["kind", "trained weights", "accuracy, mean", "per split seed", "seconds, median"]
    rows = [
        [
            name,
            f"{outcomes[0].num_trainable:,}",
            f"{statistics.mean(o.accuracy for o in outcomes):.4f}",
            " / ".join(f"{o.accuracy:.3f}" for o in outcomes),
            f"{statistics.median(o.seconds for o in outcomes):.0f}",
        ]
        for name, outcomes in results.items()
    ]
    return table(heading, rows)


if __name__ == "__main__":
    main()
