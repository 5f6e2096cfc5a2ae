"""Whether a job's version becomes production follows from its request and its verdict."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.pipeline.promotion import decide_promotion

PRODUCTION = {"version": 1, "digest": "d"}
COMPARED = {"kind": "production", "words": "Worse than version 1 (production)."}


def report(*, beats: bool | None = True, worse: bool = False, **parts: Any) -> dict[str, Any]:
    verdict = {"reasons": ["Why."], "beats_majority": beats, "worse_than_production": worse}
    return {"verdict": verdict, "production": None, "comparisons": [COMPARED], **parts}


@pytest.mark.parametrize(
    ("requested", "summary", "promote", "hold"),
    [
        (False, report(), False, False),
        (True, report(), True, False),
        (False, report(beats=False), False, True),
        (True, report(beats=False), True, False),
        (False, report(beats=None), False, False),
        (True, report(worse=True, production=PRODUCTION), False, True),
        (False, report(beats=False, production=PRODUCTION), False, False),
        (True, {"error": "it took too long"}, True, False),
        (False, None, False, False),
    ],
)
def test_the_request_and_the_verdict_decide(
    requested: bool, summary: dict[str, Any] | None, promote: bool, hold: bool
) -> None:
    promotion = decide_promotion(requested, summary)
    assert (promotion.promote, promotion.hold) == (promote, hold)
    assert (promotion.warning is not None) == hold


def test_a_refused_promotion_names_the_comparison_with_production() -> None:
    summary = report(beats=False, worse=True, production=PRODUCTION)
    warning = decide_promotion(requested=True, report=summary).warning
    assert warning is not None
    assert warning.startswith("The version was not promoted. Worse than version 1 (production).")
