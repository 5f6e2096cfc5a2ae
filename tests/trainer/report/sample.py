"""A report with every part, of texts and labels that a test may choose."""

from __future__ import annotations

import json
from typing import Any

from trainer.report.compose import compose

HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>"\'&'


def whole_report(**given: str) -> dict[str, Any]:
    """As it is stored."""
    found: dict[str, Any] = json.loads(json.dumps(compose(evidence(**given))["report"]))
    return found


def trial(number: int, settings: dict[str, Any], status: str, accuracy: float) -> dict[str, Any]:
    return {
        "number": number, "settings": settings, "status": status, "dev": {"accuracy": accuracy},
        "epochs": 3 if status == "completed" else 1, "planned_epochs": 3, "steps": 1,
        "planned_steps": 3,
    }  # fmt: skip


def evidence(label: str = "glad", text: str = "some text") -> dict[str, Any]:
    rows = [
        {
            "line": i + 1, "text": f"{text} {i % 7} {'yay' if i % 2 else 'boo'}", "words": [],
            "both": [text, None], "label": label if i % 2 else "sad", "tokens": 3 + i % 9,
            "prompt": text, "truncated": False, "named": True, "spans": False,
        }
        for i in range(40)
    ]  # fmt: skip
    guesses = [row["label"] if i % 5 else "sad" for i, row in enumerate(rows)]
    epochs = [
        {"number": n, "loss": 0.7 / n, "dev_loss": 0.6 / n, "value": 0.6 + n / 10, "best": n == 3}
        for n in (1, 2, 3)
    ]
    runs = [
        {"seed": seed, "kept": not seed, "epochs": epochs, "test": {"accuracy": 0.9 - seed / 100}}
        for seed in (0, 1)
    ]
    points = [
        {"share": share, "rows": int(40 * share), "value": share, "more_is_better": True}
        for share in (0.25, 0.5, 1.0)
    ]
    search = {
        "chosen": 1, "steps": 9, "saved_steps": 3,
        "settings": {"kind": "lora", "learning_rate": 1e-3, "rank": 8},
        "trials": [
            trial(0, {}, "completed", 0.7),
            trial(1, {"rank": 32, "learning_rate": 2.4e-3}, "completed", 0.8),
            trial(2, {"kind": "bottleneck"}, "pruned", 0.6),
        ],
    }  # fmt: skip
    head = {"kind": "classify", "labels": [label, "sad"], "multi_label": False, "temperature": 1.5}
    return {
        "head": head, "metrics": ["accuracy"], "more_is_better": True, "baseline": "tfidf+logistic",
        "train": rows, "dev": rows[:10], "test": rows, "test_guesses": guesses,
        "test_logits": [[float(g == label), 0.5] for g in guesses], "test_losses": [0.5] * 40,
        "dev_logits": [[0.7, 0.5]] * 10, "error_costs": {label: 5.0},
        "sample": list(range(40)), "sample_guesses": guesses, "sample_losses": [0.5] * 40,
        "runs": runs, "parameters": {"trainable": 1000, "base": 99_000}, "diverged_seeds": [],
        "averaged": False, "preset": "balanced",
        "warnings": [label],
        "findings": [{"code": "near_leak", "severity": "warning", "message": text}],
        "search": search, "learning_curve": points,
        "production": {"version": 3, "digest": "d", "guesses": guesses[::-1], "note": label},
        "full_finetuning": {"guesses": guesses, "epochs": 3, "seconds": 9.0},
    }  # fmt: skip
