"""The documents keep up with the code: links resolve, maps and lists are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from adapterd.cli.app import build
from adapterd.cli.exit_codes import ExitCode
from tests.architecture.sources import FOLDERS, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
MAPPED = (*FOLDERS, "tests", "benchmarks", "examples", "deploy", "docs")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("folder", MAPPED)
def test_the_file_map_of_the_readme_names_every_folder(folder: str) -> None:
    assert f"| [{folder}/]({folder}/) |" in README


def test_the_readme_names_every_command_and_subcommand() -> None:
    command = typer.main.get_command(build())
    for name, sub in command.commands.items():
        assert f"`adapterd {name}" in README
        for child in getattr(sub, "commands", {}):
            row = next(
                line for line in README.splitlines() if line.startswith(f"| `adapterd {name}`")
            )
            assert f"`{child}`" in row


@pytest.mark.parametrize("code", list(ExitCode))
def test_the_readme_explains_every_exit_status(code: ExitCode) -> None:
    paragraph = README.split("Exit status:")[1].split("\n\n")[0]
    assert re.search(rf"\b{code.value} \w+", paragraph)


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)\b[`\s]", README + CONTRIBUTING)) - {"it"}
    assert named
    assert named <= targets


def test_the_architecture_fits_one_screen_and_has_a_drawing() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert "┌" in text


def test_decision_records_are_half_a_page() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert "**Decision.**" in text
        assert len(text.split()) < 350, record.name
