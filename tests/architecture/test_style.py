"""House style rules that a parser can hold."""

from __future__ import annotations

import ast

from tests.architecture.sources import functions, parse, relative, source_files


def test_every_module_says_what_it_owns() -> None:
    silent = [
        relative(path)
        for path in source_files()
        if parse(path).body and ast.get_docstring(parse(path)) is None
    ]
    assert silent == []


def test_every_function_is_fully_annotated() -> None:
    bare = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in source_files()
        for node in functions(path)
        if not _is_annotated(node)
    ]
    assert bare == []


#: the engine's child inherits its parent's environment, and silences the libraries it starts
PASSES_ENVIRONMENT_ON = {"engine/runtime/supervisor.py", "engine/__main__.py"}


def test_only_settings_modules_read_the_environment() -> None:
    readers = {relative(path) for path in source_files() if _reads_environment(parse(path))}
    assert readers - PASSES_ENVIRONMENT_ON <= {"adapterd/settings.py", "server/config.py"}


def test_every_dataclass_is_frozen_slotted_and_takes_keywords() -> None:
    """Values never change under their holder; `kw_only` keeps call sites readable as they grow."""
    loose = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and _has_bare_dataclass(node)
    ]
    assert loose == []


def _is_annotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = [a for a in arguments if a.arg not in ("self", "cls")]
    return node.returns is not None and all(a.annotation is not None for a in named)


def _reads_environment(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(tree)
    )


def _has_bare_dataclass(node: ast.ClassDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "dataclass" for d in node.decorator_list)
