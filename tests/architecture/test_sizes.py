"""House style, rule 1: files and functions stay small."""

from __future__ import annotations

from collections import Counter
from statistics import median, quantiles

from tests.architecture.sources import PACKAGES, ROOT, functions, num_lines, relative, source_files

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_FOLDER_FILES = 25


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in source_files()}
    assert {path: n for path, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_folder_holds_more_than_25_files() -> None:
    counts = Counter(
        relative(path.parent) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )
    assert {folder: n for folder, n in counts.items() if n > MAX_FOLDER_FILES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name} ({num_lines(node)})"
        for path in source_files()
        for node in functions(path)
        if num_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_functions_have_a_median_of_8_lines_and_nine_in_ten_at_most_30() -> None:
    lengths = [num_lines(node) for path in source_files() for node in functions(path)]
    assert median(lengths) <= 8
    assert quantiles(lengths, n=10)[-1] <= 30
