"""The documents keep up with the code: links resolve, maps and lists are complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer

from adapterd.cli.app import build
from adapterd.cli.exit_codes import ExitCode
from server.auth.caller import Role
from server.config import Settings
from server.grpc_api.methods import ROLES as GRPC_ROLES
from server.http_api.route import ROLES as HTTP_ROLES
from tests.architecture.sources import FOLDERS, PACKAGES, ROOT, project_file

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
COMMAND_LINE = (DOCS / "command-line.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
#: what a page about the code may name by its path
TOP_FOLDERS = (*FOLDERS, "tests", "benchmarks", "examples", "deploy", "docs")
MIB = 2**20

documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


@documents
def test_every_relative_link_resolves(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text)
    assert [link for link in links if not (document.parent / link).exists()] == []


@documents
def test_every_anchor_of_a_link_is_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text(encoding="utf-8"))
    missing = [
        f"{page}#{anchor}"
        for page, anchor in links
        if anchor not in anchors(document.parent / page if page else document)
    ]
    assert missing == []


@documents
def test_every_path_of_the_repository_that_a_document_names_exists(document: Path) -> None:
    quoted = re.findall(r"`([\w./-]+)`", document.read_text(encoding="utf-8"))
    named = {path for path in quoted if re.match(rf"({'|'.join(TOP_FOLDERS)})/", path)}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_index_lists_every_page() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == set()
    assert "(docs/index.md)" in README


def test_the_readme_is_short_and_has_a_picture() -> None:
    assert len(README.splitlines()) <= 120
    assert "┌" in README


@pytest.mark.parametrize("word", ["multi-tenant", "LoRA", "fine-tune", "serve"])
def test_the_first_paragraph_of_the_readme_has_the_words_people_search_for(word: str) -> None:
    assert word in README.split("\n\n")[1]


def test_three_commands_stand_before_any_list_of_features() -> None:
    quick_start = README.split("```sh\n")[1].split("```")[0]
    assert len(quick_start.splitlines()) == 3
    assert README.index(quick_start) < README.index("## Features")


@pytest.mark.parametrize("roles", [HTTP_ROLES, GRPC_ROLES], ids=["http", "grpc"])
def test_every_call_is_documented_with_its_role(roles: Mapping[str, Role | None]) -> None:
    page = (DOCS / "roles.md").read_text(encoding="utf-8").split("\n## ")
    section = page[1] if roles is HTTP_ROLES else page[2]
    documented = dict(re.findall(r"^\| `([^`]+)` \| `?(\w+)`? \|$", section, re.MULTILINE))
    assert documented == {
        call: "none" if role is None else role.name.lower() for call, role in roles.items()
    }


@pytest.mark.parametrize("folder", TOP_FOLDERS)
def test_the_architecture_names_every_top_folder(folder: str) -> None:
    assert re.search(rf"(?:^|`){folder}/", ARCHITECTURE, re.MULTILINE)


def test_the_tree_of_the_architecture_is_the_tree_on_disk() -> None:
    on_disk = {
        str(module.parent.relative_to(ROOT))
        for package in PACKAGES
        for module in (ROOT / package).rglob("*.py")
    }
    assert set(drawn_folders()) == on_disk


def test_the_tree_of_the_architecture_marks_the_torch_free_folders() -> None:
    contracts = project_file()["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["name"] == "Torch-free folders"]
    torch_free = {module.replace(".", "/") for module in contract["source_modules"]}
    folders = {path for path in torch_free if (ROOT / path).is_dir()}
    assert {folder for folder, marked in drawn_folders().items() if marked} == folders


def test_the_architecture_is_under_70_lines() -> None:
    assert len(ARCHITECTURE.splitlines()) < 70


def test_every_command_and_subcommand_is_documented() -> None:
    command = typer.main.get_command(build())
    for name, sub in command.commands.items():
        assert f"`adapterd {name}" in COMMAND_LINE
        for child in getattr(sub, "commands", {}):
            row = next(
                line
                for line in COMMAND_LINE.splitlines()
                if line.startswith(f"| `adapterd {name}`")
            )
            assert f"`{child}`" in row


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_status_is_explained(code: ExitCode) -> None:
    paragraph = COMMAND_LINE.split("Exit status:")[1].split("\n\n")[0]
    assert re.search(rf"\b{code.value} \w+", paragraph)


def test_every_setting_of_the_server_is_documented_with_its_default() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", page, re.MULTILINE)
    assert documented == [
        (name, default_text(name, field.default), " ".join((field.description or "").split()))
        for name, field in Settings.model_fields.items()
    ]


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)\b", text, re.MULTILINE))
    assert named
    assert named <= targets


def test_every_extra_of_pip_that_the_documents_name_exists() -> None:
    text = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    text += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "adapterd").rglob("*.py"))
    named = re.findall(r"(?:adapterd|(?<=['\" ])\.)\[([a-z,]+)\]", text)
    assert named
    extras = {extra for each in named for extra in each.split(",")}
    assert extras <= set(project_file()["project"]["optional-dependencies"])


def test_decision_records_are_half_a_page() -> None:
    records = sorted((DOCS / "decisions").glob("*.md"))
    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert "**Decision.**" in text
        assert len(text.split()) < 350, record.name


def drawn_folders() -> Mapping[str, bool]:
    """The folders of the tree in the page, and whether they are marked as torch-free."""
    tree = ARCHITECTURE.split("```")[1]
    folders, package = {}, ""
    for line in tree.splitlines():
        entries = re.findall(r"(?:^|(?<= ))([a-z][a-z0-9_/]*)/( \*)?(?= )", line)
        if entries and not line.startswith(" "):
            package = entries[0][0]
            folders[package] = bool(entries[0][1])
        else:
            folders |= {f"{package}/{name}": bool(mark) for name, mark in entries}
    return folders


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def default_text(name: str, default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if default is None or default == ():
        return "none"
    if name.endswith("_bytes") and isinstance(default, int) and default:
        return f"{default // MIB} MiB"
    return str(default)
