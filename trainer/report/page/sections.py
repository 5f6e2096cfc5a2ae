"""The sections of the page, in plain words: each gives its markup, or None where the report has
nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.page import plots, tables
from trainer.report.page.markup import Child, Markup, element, joined

Part = Mapping[str, Any]
_SIGNIFICANT = 0.05


def verdict(report: Part) -> Markup:
    """The one number, how far it can be trusted, and what it is better than."""
    found, said = report["headline"], [_spoken(each) for each in report["comparisons"]]
    production = report["production"]
    if production and "skipped" in production:
        said.append(element("li", f"Not compared with production: {production['skipped']}"))
    if production and "note" in production and "skipped" not in production:
        said.append(element("li", f"On version {production['version']}: {production['note']}"))
    seeds = report["seeds"]
    if seeds:
        said.append(element("li", _of_seeds(seeds)))
    number: Child = element("p", "No metric has a value on these test rows.")
    if found:
        interval = f"{found['low']:.3f} to {found['high']:.3f}"
        rows = f"95 % interval {interval}, on {report['rows']['test']} test rows"
        number = element(
            "div", element("div", f"{found['value']:.3f}", class_="number"),
            element("div", element("b", tables.readable(found["metric"])), class_="under"),
            element("div", rows, class_="under"),
        )  # fmt: skip
    return element("section", element("div", number, element("ul", *said, class_="verdicts"),
                                      class_="hero"))  # fmt: skip


def advice(report: Part) -> Markup | None:
    if not report["advice"]:
        return None
    items = [element("li", _sentence(each)) for each in report["advice"]]
    return _section("What to do next", None, element("ul", *items, class_="advice"))


def reached(report: Part) -> Markup:
    found, shown = report["headline"], None
    if found:
        others = [
            (_sentence(each["against"].removeprefix("the baseline ")), float(each["theirs"]))
            for each in [*report["comparisons"], report["full_finetuning"] or {}]
            if each.get("theirs") is not None
        ]
        shown = plots.reached(found, others)
    lead = (
        "All models are scored on the same test rows, which were not used for training or model "
        "selection. The 95 % interval covers the variation between test sets of this size."
    )
    return _section("Results", lead, shown, tables.metrics(report))


def curves(report: Part) -> Markup | None:
    metric = (report["headline"] or {}).get("metric", "metric")
    both = (plots.losses(report["curves"]), plots.dev_metric(report["curves"], metric))
    if not any(both):
        return None
    key = element(
        "p", element("span", element("i"), "training"),
        element("span", element("i", class_="dev"), "dev"), element("span", "○ kept epoch"),
        class_="key",
    )  # fmt: skip
    left, right = (each and joined(element("h3", name), each) for each, name in zip(
        both, ("Loss", f"{tables.readable(metric)} on dev"), strict=True))  # fmt: skip
    pair = element("div", element("div", left), element("div", right), class_="two")
    return _section("Training", "Fainter lines are the other seeds.", key, pair)


def calibration(report: Part) -> Markup | None:
    found = report["calibration"]
    if not found:
        return None
    before, after = found["before"], found["after"]
    rows = [
        [(name, ""), *((tables.figure(each[figure]), kind) for figure in ("ece", "loss"))]
        for name, each, kind in (("as trained", before, "num"), ("as served", after, "num ours"))
    ]
    columns = [("probabilities", ""), ("calibration error", "num"), ("log loss", "num")]
    words = (
        f"Served probabilities use the temperature {found['temperature']:.3g}, fitted on dev rows "
        "and saved with the version; predicted labels do not change."
        if found["temperature"] != 1.0
        else "No temperature was fitted: there are too few dev rows, or the head has none."
    )
    left = element("div", plots.reliability(found))
    right = element("div", tables.table(columns, rows), element("p", words, class_="note"))
    lead = "Of answers with a confidence of 0.8, 80 % should be right: the diagonal."
    return _section(
        "Can its confidence be believed?", lead, element("div", left, right, class_="two")
    )


def confusion(report: Part) -> Markup | None:
    found, classes = report["confusion"], report["classes"]
    if not found and not classes:
        return None
    parts: list[Child] = []
    if found:
        parts.append(element("div", plots.confusion(found), class_="scroll"))
        if found["left_out"]:
            parts.append(
                element("p", f"{found['left_out']} rarer labels are not shown.", class_="note")
            )
        if len(found["labels"]) > 2 and found["mistakes"]:
            parts += [element("h3", "Most frequent mistakes"), tables.mistakes(found["mistakes"])]
    if classes:
        parts.append(tables.labels(classes))
    return _section("Label by label", "Rows: true label. Columns: predicted label.", *parts)


def slices(report: Part) -> Markup | None:
    if not report["slices"]:
        return None
    lead = (
        "Subsets of the test rows, lowest scores first. Scores of small subsets vary by "
        "chance: see the intervals."
    )
    metric = report["headline"]["metric"]
    return _section("Where it does worst", lead, tables.slices(report["slices"], metric))


def suspects(report: Part) -> Markup | None:
    parts: list[Child] = []
    for split, title in (("train", "Training rows"), ("test", "Test rows")):
        if found := [each for each in report["suspects"] if each["split"] == split]:
            parts += [element("h3", title), tables.suspects(found)]
    if not parts:
        return None
    lead = "Rows with the highest loss: hard rows, or rows with a wrong label."
    return _section("Rows to look at", lead, *parts)


def more_data(report: Part) -> Markup | None:
    found = report["learning_curve"]
    if not found:
        return None
    drawn = element("div", element("div", plots.learning_curve(found["points"])), class_="two")
    return _section("Would more data help?", found["words"], drawn)


def frozen(report: Part) -> Markup | None:
    found = report["full_finetuning"]
    if not found:
        return None
    if "words" not in found:
        return _section("What freezing the base cost", found.get("error"))
    trained = (
        f"A copy of the whole base was trained for the same {found['epochs']} epochs "
        f"({found['seconds']:.0f} seconds) for comparison and discarded."
    )
    return _section("What freezing the base cost", found["words"], element("p", trained))


def data(report: Part) -> Markup:
    parameters, rows = report["parameters"], report["rows"]
    part = parameters["trainable"] / (parameters["trainable"] + parameters["base"])
    facts = (
        f"{rows['train']:,} training, {rows['dev']:,} dev and {rows['test']:,} test rows. "
        f"{parameters['trainable']:,} parameters were trained, {part:.2%} of all; the base's "
        f"{parameters['base']:,} stayed frozen."
    )
    said = [*report["warnings"], *(each["message"] for each in report["findings"])]
    notes = list(dict.fromkeys(said))
    items = element("ul", *(element("li", note) for note in notes), class_="advice")
    left_out = report.get("left_out")
    bound = f"Omitted to limit the size of the report: {', '.join(left_out)}." if left_out else None
    return _section("Data and size", facts, items if notes else None,
                    bound and element("p", bound, class_="note"))  # fmt: skip


def _section(title: str, lead: str | None, *parts: Child) -> Markup:
    said = lead and element("p", lead, class_="lead")
    return element("section", element("h2", title), said, *parts)


def _spoken(found: Part) -> Markup:
    told_apart = found["p"] < _SIGNIFICANT
    kind = ("better" if found["gain"] > 0 else "worse") if told_apart else None
    return element("li", found["words"], class_=kind)


def _of_seeds(seeds: Part) -> str:
    figures = f"{tables.readable(seeds['metric'])} {seeds['mean']:.3f} ± {seeds['std']:.3f}"
    return f"Over {len(seeds['values'])} seeds: {figures}. The best on dev was kept."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def listed(facts: Sequence[tuple[str, str]]) -> Markup:
    """Facts in a line."""
    parts = [joined(f"{name} ", element("b", value)) for name, value in facts if value]
    return element("p", *(joined(" · " if index else "", each) for index, each in enumerate(parts)),
                   class_="facts")  # fmt: skip
