"""The report as a page: escaped, self-contained, and looked at in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from trainer.report.compose import compose
from trainer.report.page.document import document, policy
from trainer.report.page.markup import Markup, element
from trainer.report.page.style import STYLE

HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>"\'&'
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1100,3000",
)  # fmt: skip


def evidence(label: str = "glad", text: str = "some text") -> dict[str, Any]:
    rows = [
        {
            "line": i + 1, "text": f"{text} {i % 7} {'yay' if i % 2 else 'boo'}", "words": [],
            "both": [text, None], "label": label if i % 2 else "sad", "tokens": 3 + i % 9,
            "asked": text, "truncated": False, "named": True, "spans": False,
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
    head = {"kind": "classify", "labels": [label, "sad"], "multi_label": False, "temperature": 1.5}
    return {
        "head": head, "metrics": ["accuracy"], "more_is_better": True, "baseline": "tfidf+logistic",
        "train": rows, "dev": rows[:10], "test": rows, "test_guesses": guesses,
        "test_logits": [[float(g == label), 0.5] for g in guesses], "test_losses": [0.5] * 40,
        "sample": list(range(40)), "sample_guesses": guesses, "sample_losses": [0.5] * 40,
        "runs": runs, "parameters": {"trainable": 1000, "base": 99_000}, "warnings": [label],
        "findings": [{"message": text}], "learning_curve": points,
        "production": {"version": 3, "digest": "d", "guesses": guesses[::-1], "note": label},
        "full_finetuning": {"guesses": guesses, "epochs": 3, "seconds": 9.0},
    }  # fmt: skip


def page(**given: str) -> str:
    report = json.loads(json.dumps(compose(evidence(**given))["report"]))
    return document("mood@4", [("head", "classify")], report)


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_every_part_has_its_section() -> None:
    shown = page()
    for title in (
        "What to do next", "What it reached", "Training", "Can its confidence be believed?",
        "Label by label", "Where it does worst", "Rows to look at", "Would more data help?",
        "What freezing the base cost", "Data and size",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in shown


def test_nothing_that_a_user_wrote_becomes_markup() -> None:
    tags = Tags()
    tags.feed(page(label=HOSTILE, text=HOSTILE))
    assert not tags.names & {"script", "img", "iframe", "object", "link", "form", "a"}
    assert not any(name.startswith("on") for name in tags.attributes)
    assert not tags.attributes & {"href", "src", "style", "xlink:href"}
    assert "&lt;script&gt;" in page(label=HOSTILE)


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "<b>", Markup("<i></i>"), title='"') == (
        '<p title="&quot;">&lt;b&gt;<i></i></p>'
    )


def test_the_policy_lets_in_this_very_style_and_nothing_else() -> None:
    assert f"<style>{STYLE}</style>" in page()
    assert policy().startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy()


def test_a_report_that_could_not_be_made_says_so() -> None:
    shown = document("mood@4", [], {"error": "it took <too> long"})
    assert "it took &lt;too&gt; long" in shown


def browsed(tmp_path: Path, shown: str, *wanted: str) -> str:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no browser is installed")
    file = tmp_path / "page.html"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
    file.write_text(shown.replace("<head>", f"<head>{meta}"))
    command = [browser, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *wanted, file.as_uri()]
    ran = subprocess.run(command, capture_output=True, timeout=100, check=True)
    return ran.stdout.decode()


@pytest.mark.timeout(120)
def test_a_browser_shows_the_plots_under_the_policy_and_runs_nothing(tmp_path: Path) -> None:
    dom = browsed(tmp_path, page(label=HOSTILE, text=HOSTILE), "--dump-dom")
    assert "<title>mood@4 · report</title>" in dom
    assert dom.count("<svg") > 6
    assert "<polyline" in dom


@pytest.mark.timeout(120)
def test_a_browser_paints_the_page(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browsed(tmp_path, page(), f"--screenshot={picture}")
    # a blank picture of this size packs into a few kilobytes
    assert picture.stat().st_size > 60_000
