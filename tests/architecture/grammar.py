"""Which names are no verbs and which are no nouns. Knows English words, and no package."""

from __future__ import annotations

import ast
from collections.abc import Iterator

#: as a variable these say that something happened to a thing, and not what the thing is
VAGUE_VARIABLES = frozenset({"asked", "found", "given", "said", "told", "wanted"})
#: past participles that are not spelt with -ed, without those spelt like their verb (cut, set)
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
    """Whether the name is one word, and that word says what was done instead of what to do."""
    word = name.strip("_")
    return word in IRREGULAR or (word.endswith("ed") and word.isalpha() and word not in VERBS)


def participle_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Functions and methods named by a bare past participle; a property reads as an attribute."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and is_bare_participle(node.name) and not _is_property(node):
            yield node.lineno, node.name


def vague_variables(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Variables, loop targets and parameters whose names say nothing of what they hold.

    `each` may stand in a comprehension, which ends before one has to remember what it was.
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
