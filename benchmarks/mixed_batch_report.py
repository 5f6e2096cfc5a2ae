"""The table of `benchmarks.mixed_batch` and its targets; knows times and names, no engine."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.measure import medians, table

#: engines
NOW, BEFORE = "adapterd", "adapterd before"
#: what an engine runs: rows of the bare base as vectors, or as the states of every token, and rows
#: of 32 adapters
BARE, HIDDEN = "no adapter", "no adapter, all states returned"
QUERY_VALUE, ALL_LINEARS = "32 adapters, query+value", "32 adapters, all linears"
DTYPES = ("float32", "bfloat16", "auto")
#: the peers that others are compared with
STOCK = "stock model, padded, fp32"
PEFT = "PEFT adapter_names, fp32 (as documented)"
PEFT_BF16 = "PEFT adapter_names, bf16 weights"
#: seconds of each way in each round
Times = Mapping[str, list[float]]


def engine_way(engine: str, dtype: str, way: str) -> str:
    return f"{engine}, {dtype}, {way}"


def report(times: Times, failed: Mapping[str, str], num_rows: int) -> str:
    """Ratios are medians of the ratios within a round of `num_rows` rows."""
    rows = [
        [
            name, f"{num_rows / seconds:.0f}", _ratio(times, STOCK, name),
            _ratio(times, PEFT, name), *_engine_cells(times, name),
        ]
        for name, seconds in sorted(medians(times).items(), key=lambda item: -item[1])
    ]  # fmt: skip
    rows += [[name, f"cannot run: {reason}", "", "", "", ""] for name, reason in failed.items()]
    header = ["method", "rows/s", "x stock fp32 padded", "x PEFT fp32"]
    header += ["of adapter-free", "x before"]
    return "\n".join([table(header, rows), "", *_targets(times)])


def _engine_cells(times: Times, name: str) -> list[str]:
    """Relative to this engine without adapters, and to the older engine in the same way."""
    for dtype in DTYPES:
        for engine in (NOW, BEFORE):
            for way in (BARE, HIDDEN, QUERY_VALUE, ALL_LINEARS):
                if name != engine_way(engine, dtype, way):
                    continue
                bare = engine_way(engine, dtype, BARE)
                of_bare = _ratio(times, bare, name) if way not in (BARE, HIDDEN) else ""
                older = engine_way(BEFORE, dtype, way)
                return [of_bare, _ratio(times, older, name) if engine == NOW else ""]
    return ["", ""]


def _ratio(times: Times, reference: str, name: str) -> str:
    """How many times as fast `name` is; empty where either did not run."""
    if reference not in times or name not in times:
        return ""
    pairs = zip(times[reference], times[name], strict=True)
    return f"{statistics.median(one / other for one, other in pairs):.2f}"


def _targets(times: Times) -> list[str]:
    def at(engine: str, dtype: str, way: str) -> str:
        return engine_way(engine, dtype, way)

    mixed = at(NOW, "auto", QUERY_VALUE)
    targets = [
        *(
            (f"{dtype}, {way}, of adapter-free (target {least})", at(NOW, dtype, BARE),
             at(NOW, dtype, way))
            for dtype in DTYPES
            for way, least in ((QUERY_VALUE, 0.95), (ALL_LINEARS, 0.85))
        ),
        ("adapter-free float32 over the engine before (target 1.2)",
         at(BEFORE, "float32", BARE), at(NOW, "float32", BARE)),
        ("the same with all states returned",
         at(BEFORE, "float32", HIDDEN), at(NOW, "float32", HIDDEN)),
        ("mixed batch over PEFT as documented (target 5)", PEFT, mixed),
        ("mixed batch over PEFT in bf16 (target 2.5)", PEFT_BF16, mixed),
        ("no adapter over stock fp32 (target 5)", STOCK, at(NOW, "auto", BARE)),
    ]  # fmt: skip
    ratios = [(text, _ratio(times, reference, name)) for text, reference, name in targets]
    return [f"{text}: {ratio}" for text, ratio in ratios if ratio]
