"""Recognises names that are past participles instead of verbs or nouns. Knows no package."""

from __future__ import annotations

import ast
from collections.abc import Iterator

#: variable names that say what happened to a value, and not what the value is
VAGUE_VARIABLES = frozenset({"asked", "found", "given", "said", "told", "wanted"})
#: past participles not ending in -ed, except those spelt like their verb (cut, set)
IRREGULAR = frozenset({
    "begun", "born", "bound", "bought", "broken", "brought", "built", "caught", "chosen",
    "done", "drawn", "driven", "fallen", "felt", "found", "frozen", "given", "gone", "grown",
    "heard", "held", "hidden", "kept", "known", "laid", "led", "left", "lost", "made", "meant",
    "met", "overridden", "paid", "rewritten", "risen", "said", "seen", "sent", "shown", "sold",
    "sought", "spent", "spoken", "sworn", "taken", "taught", "thought", "thrown", "told",
    "torn", "understood", "won", "worn", "woven", "written",
})  # fmt: skip
#: verbs that end in -ed
VERBS = frozenset({"bleed", "embed", "exceed", "feed", "need", "proceed", "seed", "shed", "speed"})


def is_bare_participle(name: str) -> bool:
    """Whether the name is a single word and that word is a past participle."""
    word = name.strip("_")
    return word in IRREGULAR or (word.endswith("ed") and word.isalpha() and word not in VERBS)


def participle_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Functions and methods named by a bare participle, except properties."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and is_bare_participle(node.name) and not _is_property(node):
            yield node.lineno, node.name


def vague_variables(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Variables, loop targets and parameters with a vague name; `each` is allowed in a
    comprehension, where its meaning is on the same line.
    """
    inside = {
        id(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension)
        for name in ast.walk(node.target)
    }
    for node in ast.walk(tree):
        name = _variable(node)
        if name in VAGUE_VARIABLES or (name == "each" and id(node) not in inside):
            yield node.lineno, name  # type: ignore[attr-defined]


def _variable(node: ast.AST) -> str:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    return ""


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
