"""The report as a page: escaped and self-contained."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from tests.trainer.report.sample import HOSTILE, whole_report
from trainer.report.page.page import content_security_policy, format_setting, render_page
from trainer.report.page.style import STYLE
from trainer.report.page.svg import element


def page(**given: str) -> str:
    return render_page("mood@4", [("head", "classify")], whole_report(**given))


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
        "What to do next",
        "Results",
        "Training curves",
        "Calibration",
        "Coverage and accuracy",
        "Cost of errors",
        "Labels",
        "Where it does worst",
        "Possible label errors",
        "Learning curve",
        "Full fine-tuning of the base",
        "Data and size",
    ):
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
        '<p title="&#34;">&lt;b&gt;<i></i></p>'
    )


def test_the_policy_lets_in_this_very_style_and_nothing_else() -> None:
    assert f"<style>{STYLE}</style>" in page()
    assert content_security_policy().startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in content_security_policy()


def test_a_report_that_could_not_be_made_says_so() -> None:
    shown = render_page("mood@4", [], {"error": "it took <too> long"})
    assert "it took &lt;too&gt; long" in shown


@pytest.mark.parametrize("is_worse", [False, True])
def test_a_temperature_that_makes_the_test_rows_worse_is_marked(is_worse: bool) -> None:
    report = whole_report()
    report["calibration"] |= {"is_worse": is_worse, "words": "The temperature 0.64 is used."}
    shown = render_page("mood@4", [], report)
    assert "The temperature 0.64 is used." in shown
    assert ('class="note warning"' in shown) is is_worse


def test_a_report_of_an_earlier_release_is_shown_without_what_it_lacks() -> None:
    report = whole_report()
    for name in ("is_worse", "words"):
        del report["calibration"][name]
    for name in ("rivals", "majority", "search", "selective", "costs"):
        del report[name]
    report["seeds"] = {"metric": "accuracy", "values": [0.5, 0.6], "mean": 0.55, "std": 0.07}
    report["slices"] = [
        {"by": "label", "slice": "glad", "rows": 9, "value": 1.0, "low": 1, "high": 1, "gap": -0.1}
    ]
    shown = render_page("mood@4", [], report)
    assert "<h2>Calibration</h2>" in shown
    assert "Where it does worst" not in shown


def test_the_plot_of_results_is_there_for_a_wide_and_for_a_narrow_window() -> None:
    shown = page()
    assert shown.count('class="plot wide"') == shown.count('class="plot narrow"') == 1
    assert ".plot.narrow { display:none; }" in STYLE


def test_a_percent_sign_stays_with_its_figure() -> None:
    report = whole_report()
    report["advice"] = ["more rows narrow the 95 % interval."]
    assert "More rows narrow the 95\u00a0% interval." in render_page("mood@4", [], report)


def test_a_setting_that_was_left_open_is_called_default() -> None:
    assert (format_setting(None), format_setting(0.00236508)) == ("default", "0.00237")


@pytest.mark.parametrize(
    ("averaged", "words"),
    [(True, "The version has the mean of their weights"), (False, "is the seed with the best dev")],
)
def test_the_page_says_whether_the_seeds_were_averaged(averaged: bool, words: str) -> None:
    report = whole_report()
    seeds = {"metric": "accuracy", "values": [0.5, 0.6], "mean": 0.55, "std": 0.07}
    report["seeds"] = {**seeds, "averaged": averaged}
    assert words in render_page("mood@4", [], report)
