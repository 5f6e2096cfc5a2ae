"""Prints the report of a version (verdict, metrics, advice) and the result of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adapterd.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from adapterd.values import Job, ReportLink

_MAX_ADVICE = 6
_SIGNIFICANT = 0.05


def print_report(title: str, report: Mapping[str, Any]) -> None:
    """`report` may be a full report or its summary; only fields of both are printed."""
    from rich.text import Text

    from adapterd.terminal.table import stdout_console
    from adapterd.terminal.verdict import format_verdict

    console = stdout_console()
    if "error" in report:
        console.print(Text(f"{title} has no report. {report['error']}", style="red"))
        return
    console.print(Text.assemble((title, "bold"), "  on the test rows"))
    if verdict := format_verdict(report):
        console.print(verdict)
    for mark, style, sentence in _sentences(report):
        console.print(Text.assemble((f" {mark} ", style), sentence))
    for sentence in report["advice"][:_MAX_ADVICE]:
        console.print(Text.assemble((" → ", "cyan"), sentence))


def make_report(job: Job) -> dict[str, Any]:
    """The final result of a job, with its keys in the order of the public contract."""
    first = ("metrics", "baseline", "trainable_parameters", "seconds")
    result: Mapping[str, Any] = job.result
    return {
        "task": job.task,
        "version": job.version,
        "digest": job.digest,
        **{name: result.get(name) for name in first},
        **{k: v for k, v in result.items() if k not in (*first, "task", "version", "digest")},
        "job": job.id,
    }


def print_job_report(job: Job) -> None:
    """The result of a job that succeeded: a table of metrics, the report, and what to do next."""
    from adapterd.terminal import render
    from adapterd.terminal.progress import format_duration

    body = make_report(job)
    baseline = body["baseline"] or {}
    baseline_metrics = baseline.get("test", {})
    rows = [
        (name, _format_number(value), _format_number(baseline_metrics.get(name)))
        for name, value in ((body["metrics"] or {}).get("test") or {}).items()
        if isinstance(value, int | float)
    ]
    ref = f"{job.task}@{job.version}"
    if body.get("already_published"):
        render.print_line(f"identical to {ref}: nothing new was published")
    print_report(ref, body["report"])
    render.print_table(
        "test rows", ("metric", "adapter", str(baseline.get("name", "baseline"))), rows
    )
    for warning in body.get("warnings", ()):
        render.print_warning(warning)
    parameters, seconds = body["trainable_parameters"], body["seconds"]
    render.print_line(f"{parameters:,} trained parameters, {format_duration(seconds)}")
    if latency := body.get("latency"):
        render.print_line(
            f"one text takes {latency['p50_ms']:.3g} ms (median) on the machine that trained, "
            f"{latency['p95_ms']:.3g} ms at the 95th percentile"
        )
    render.print_line(f"full report: adapterd adapters report {ref} --open")
    render.print_line(f'try it: adapterd predict {ref} "a text"')


def open_link(link: ReportLink) -> None:
    """In a browser. The link is on stderr, for where there is none, or on another machine."""
    import sys
    import webbrowser

    from adapterd.terminal.table import format_time

    try:
        is_open = webbrowser.open(link.url)
    except webbrowser.Error:
        is_open = False
    start = "The report opens in a browser" if is_open else "No browser could be started"
    sys.stderr.write(
        f"{start}; until {format_time(link.expires_at)} this link opens it without a key:\n"
        f"{link.url}\n"
    )


def exit_code_of(job: Job) -> ExitCode:
    """Of a job that succeeded."""
    verdict = (job.result.get("report") or {}).get("verdict") or {}
    return ExitCode.DO_NOT_SHIP if verdict.get("decision") == "do_not_ship" else ExitCode.OK


def _sentences(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Sentences of the report as (mark, style, sentence)."""
    if headline := report["headline"]:
        metric = headline["metric"].replace("_", " ")
        interval = f"{headline['low']:.3f} to {headline['high']:.3f}"
        yield "•", "bold", f"{metric} {headline['value']:.3f}, 95 % interval {interval}"
    if majority := report.get("majority"):
        yield "•", "bold", majority
    if search := report.get("search"):
        yield "•", "bold", search["words"]
    if seeds := report["seeds"]:
        spread = f"{seeds['mean']:.3f} ± {seeds['std']:.3f}"
        averaged = "; the version has the mean of their weights" if seeds.get("averaged") else ""
        yield "•", "bold", f"{spread} over {len(seeds['values'])} seeds{averaged}"
    for comparison in report["comparisons"]:
        if comparison["p"] >= _SIGNIFICANT:
            yield "≈", "yellow", comparison["words"]
        elif comparison["gain"] > 0:
            yield "✓", "green", comparison["words"]
        else:
            yield "✗", "red", comparison["words"]
    calibration = report.get("calibration") or {}
    if words := calibration.get("words"):
        yield ("!", "yellow", words) if calibration["is_worse"] else ("•", "bold", words)
    if selective := report.get("selective"):
        answered = [each for each in selective["thresholds"] if each["rows"]]
        for part in (selective["targets"] or answered)[-1:]:
            yield "•", "bold", part["words"]
    for words in (report.get("costs") or {"words": ()})["words"]:
        yield "•", "bold", words
    if skipped := (report["production"] or {}).get("skipped"):
        yield "•", "bold", f"not compared with the production version: {skipped}"


def _format_number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
