"""Names that would break imports, or that say nothing."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.sources import PACKAGES, ROOT, relative, source_files

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "process_data"}


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
