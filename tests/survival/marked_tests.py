"""Which tests carry which row's id, read off the sources of the tests without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedTest:
    """A test that proves rows, or a whole module of them, which has no name."""

    path: str
    name: str
    rows: tuple[str, ...]
    is_slow: bool


def find_marked_tests(root: Path) -> list[MarkedTest]:
    """Every test under `root`/tests with a `survival` mark, in order of path and place."""
    return [
        test
        for path in sorted((root / "tests").rglob("test_*.py"))
        for test in marked_in(ast.parse(path.read_text("utf-8")), str(path.relative_to(root)))
    ]


def marked_in(module: ast.Module, path: str) -> Iterator[MarkedTest]:
    whole = [mark for node in module.body for mark in _marks_of_module(node)]
    if rows := _rows(whole):
        yield MarkedTest(path=path, name="", rows=rows, is_slow=_is_slow(whole))
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            rows := _rows(node.decorator_list)
        ):
            is_slow = _is_slow([*whole, *node.decorator_list])
            yield MarkedTest(path=path, name=node.name, rows=rows, is_slow=is_slow)


def _marks_of_module(node: ast.stmt) -> list[ast.expr]:
    """What `pytestmark = …` holds, one mark or a list of them."""
    if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "pytestmark":
        return []
    return node.value.elts if isinstance(node.value, ast.List) else [node.value]


def _rows(marks: list[ast.expr]) -> tuple[str, ...]:
    return tuple(
        ast.literal_eval(argument)
        for mark in marks
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.survival"
        for argument in mark.args
    )


def _is_slow(marks: list[ast.expr]) -> bool:
    return "pytest.mark.slow" in map(ast.unparse, marks)
