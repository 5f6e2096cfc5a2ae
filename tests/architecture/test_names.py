"""Names that would break imports, and names without a meaning."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.grammar import (
    is_bare_participle,
    participle_functions,
    vague_variables,
)
from tests.architecture.sources import PACKAGES, ROOT, parse, relative, source_files

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "process_data"}

#: the folders whose functions are verbs and whose variables are nouns; the others follow
NAMED_FOLDERS = (
    "adapterd",
    "adapters_registry",
    "engine",
    "protos",
    "benchmarks",
    "examples",
    "trainer",
    "server",
)


def test_no_module_is_named_like_the_standard_library() -> None:
    """`python server/main.py` would put the folder first on the path and shadow it."""
    shadows = [relative(p) for p in source_files() if p.stem in sys.stdlib_module_names]
    assert shadows == []


def test_no_module_is_named_like_a_top_level_dependency() -> None:
    dependencies = {"grpc", "torch", "fastapi", "httpx", "numpy", "pydantic", "sqlalchemy", "typer"}
    assert [relative(p) for p in source_files() if p.stem in dependencies] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [relative(p) for p in source_files() if p.stem in EMPTY_WORDS] == []


def test_every_tests_folder_is_a_package() -> None:
    """Without `tests/__init__.py`, `import server` finds tests/server."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")} | {ROOT / "tests"}
    assert [relative(f) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_top_level_package_is_a_regular_package_of_ours(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_installs_a_package_of_our_name(package: str) -> None:
    owners = set(packages_distributions().get(package, ["adapterd"]))
    assert owners == {"adapterd"}


@pytest.mark.parametrize("folder", NAMED_FOLDERS)
def test_no_function_is_named_by_a_bare_past_participle(folder: str) -> None:
    assert [
        f"{relative(path)}:{line} {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "_pb2" not in path.name
        for line, name in participle_functions(parse(path))
    ] == []


@pytest.mark.parametrize("folder", NAMED_FOLDERS)
def test_no_variable_is_named_by_what_happened_to_it(folder: str) -> None:
    assert [
        f"{relative(path)}:{line} {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "_pb2" not in path.name
        for line, name in vague_variables(parse(path))
    ] == []


@pytest.mark.parametrize("name", ["merged", "_told", "drawn", "__kept"])
def test_a_bare_participle_is_recognised(name: str) -> None:
    assert is_bare_participle(name)


@pytest.mark.parametrize("name", ["merge", "embed", "set", "read", "merged_logits", "is_closed"])
def test_verbs_and_longer_names_are_no_bare_participles(name: str) -> None:
    assert not is_bare_participle(name)


def test_each_is_vague_in_a_loop_and_allowed_in_a_comprehension() -> None:
    tree = ast.parse("for each in rows: pass\nlengths = [len(each) for each in rows]\n")
    assert list(vague_variables(tree)) == [(1, "each")]
