"""`adapterd bench`: measures the throughput and latency of a running server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect_async
from adapterd.cli.data_file import read_data_path, read_texts
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import Json, ProfileName, Url

if TYPE_CHECKING:
    from adapterd.client.async_client import AsyncClient
    from adapterd.load_test import LoadPlan, LoadReport


def bench(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Tasks to call, round robin.")],
    callers: Annotated[int, typer.Option(min=1, help="Number of concurrent calls.")] = 16,
    texts_per_call: Annotated[int, typer.Option(min=1, help="Number of texts in a call.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration of the run.")] = 10.0,
    texts_file: Annotated[
        Path | None,
        typer.Option(
            parser=read_data_path,
            metavar="FILE",
            help="File with one text per line; default: the demo's texts.",
        ),
    ] = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a running server answers. Exits 1 if a call fails.

    On the server's own machine, the callers compete with it for the cores.
    """
    from adapterd.load_test import LoadPlan

    plan = LoadPlan(
        refs=refs,
        texts=_read_texts(texts_file),
        callers=callers,
        texts_per_call=texts_per_call,
        duration_s=seconds,
    )
    report = _measure(plan, connect_async(url, profile))
    _print_report(report, as_json)
    if report.failed:
        raise typer.Exit(ExitCode.FAILED)


def _measure(plan: LoadPlan, caller: AsyncClient) -> LoadReport:
    import asyncio
    from time import perf_counter

    from adapterd.load_test import run_load

    async def measure() -> LoadReport:
        async with caller as client:
            # the first call loads the task's adapter, and fails if the task does not exist
            for ref in plan.refs:
                await client.predict(ref, plan.texts[0])
            return await run_load(client, plan, perf_counter)

    return asyncio.run(measure())


def _read_texts(path: Path | None) -> list[str]:
    from adapterd.demo.labelled import demo_texts

    if path is None:
        return demo_texts()
    return read_texts(path)


def _print_report(report: LoadReport, as_json: bool) -> None:
    from adapterd.terminal import render

    facts = {
        "calls": report.calls,
        "rows": report.rows,
        "rows_per_second": round(report.rows_per_second, 1),
        "p50_ms": round(report.percentile_ms(0.5), 2),
        "p95_ms": round(report.percentile_ms(0.95), 2),
        "p99_ms": round(report.percentile_ms(0.99), 2),
        "failed": report.failed,
        "errors": report.errors,
    }
    render.print_json(facts) if as_json else render.print_facts("bench", facts)
