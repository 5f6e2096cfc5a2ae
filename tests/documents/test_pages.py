"""What the pages name exists: commands and their options, settings, routes, methods, variables.

Runs nothing of a page; `make check-docs` does.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from adapterd.cli.app import build
from adapterd.v1 import adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from engine.heads import HEADS
from server.config import Settings
from server.http_api.route import ROLES
from tests.documents.pages import LANGUAGES, PAGES, ROOT, blocks
from tests.documents.shell_text import commands, words
from tests.services.fixtures import DATABASE_URL, S3_URL
from trainer.settings.settings import TrainingSettings

COMMANDS: Any = typer.main.get_command(build())
#: variables of the client, which one module reads
CLIENT_VARIABLES = set(
    re.findall(r"\bADAPTERD_[A-Z_]*[A-Z]", (ROOT / "adapterd" / "settings.py").read_text())
)
FILES = (adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2)
METHODS = {
    f"{service.name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
HEAD_SETTINGS = {name for head in HEADS.values() for name in head.settings}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_fence_names_a_language_that_is_checked_or_none(page: Path) -> None:
    named = re.findall(r"^\s*```+(\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= set(LANGUAGES)


@pages
def test_every_block_that_is_not_run_says_why(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    comments = re.findall(r"^<!--.*\bskip:.*", text, re.MULTILINE)
    assert [
        each for each in comments if not re.fullmatch(r'<!-- skip: next "\w.+" -->', each)
    ] == []


@pages
def test_every_command_takes_the_options_that_a_block_gives_it(page: Path) -> None:
    problems = [
        f"line {line}: {problem}"
        for line, command in shell_commands(page)
        if (problem := problem_of(command)) is not None
    ]
    assert problems == []


@pages
def test_every_command_and_option_in_a_sentence_exists(page: Path) -> None:
    unknown = [
        code
        for code in re.findall(r"`(adapterd(?: [^`]+)?)`", page.read_text(encoding="utf-8"))
        if not is_known(code.split()[1:])
    ]
    assert unknown == []


@pages
def test_every_setting_that_is_set_exists(page: Path) -> None:
    known = {*Settings.model_fields, *TrainingSettings.model_fields, *HEAD_SETTINGS}
    set_there = re.findall(r"--set '?([a-z_]+)=", page.read_text(encoding="utf-8"))
    assert set(set_there) - known == set()


@pages
def test_every_setting_of_a_toml_block_exists(page: Path) -> None:
    for _, text in blocks(page, "toml"):
        assert set(tomllib.loads(text)) <= set(Settings.model_fields)


@pages
def test_every_variable_of_ours_is_read(page: Path) -> None:
    settings = {f"ADAPTERD_{name.upper()}" for name in Settings.model_fields}
    known = settings | CLIENT_VARIABLES | {DATABASE_URL, S3_URL}
    named = set(re.findall(r"\bADAPTERD_[A-Z0-9_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named - known == set()


@pages
def test_every_http_route_exists(page: Path) -> None:
    pattern = r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]+)"
    named = re.findall(pattern, without_first_cells(page))
    unknown = [f"{method} {path}" for method, path in named if not is_route(method, path)]
    assert unknown == []


@pages
def test_every_grpc_method_exists(page: Path) -> None:
    services = "|".join(sorted({method.partition("/")[0] for method in METHODS}))
    named = re.findall(rf"\b(?:{services})/\w+", page.read_text(encoding="utf-8"))
    assert set(named) - METHODS == set()


@pages
@pytest.mark.parametrize(
    ("language", "parse"), [("python", ast.parse), ("json", json.loads), ("toml", tomllib.loads)]
)
def test_every_block_of_code_can_be_parsed(
    page: Path, language: str, parse: Callable[[str], object]
) -> None:
    for _, code in blocks(page, language):
        parse(code)


def shell_commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of every command of `adapterd` in the page's shell blocks, without its name."""
    for begin, text in blocks(page, "sh"):
        for number, command in commands(text):
            for each in re.split(r"\s[|&]+\s|\$\(", command):
                called = (
                    words(re.split(r"\s[<>]", each.rstrip(")"))[0]) if "adapterd " in each else []
                )
                if "adapterd" in called:
                    yield begin + number, called[called.index("adapterd") + 1 :]


def problem_of(arguments: list[str]) -> str | None:
    """What the command line would say to them, files aside."""
    command, rest = find_command(arguments)
    if command is None:
        return f"there is no command {' '.join(arguments)!r}"
    try:
        command.make_context("adapterd", rest)
    except Exception as error:
        said = str(getattr(error, "message", error)) or type(error).__name__
        is_file_missing = "There is no file" in said or "does not exist" in said
        return None if is_file_missing else f"{' '.join(arguments)}: {said}"
    return None


def find_command(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command, or group of commands, that the words begin with, and the remaining words."""
    command, rest = COMMANDS, list(arguments)
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        command = command.commands.get(rest.pop(0))
    return command, rest


def is_known(arguments: list[str]) -> bool:
    """Whether a command in a sentence exists, and its options; its arguments are placeholders."""
    if not arguments or arguments[0] in ("COMMAND", "…"):
        return True
    command, rest = find_command(arguments)
    options = {word.strip("[],") for word in rest if word.strip("[").startswith("--")}
    return command is not None and options <= options_of([command])


def options_of(those: Iterable[Any]) -> set[str]:
    return {
        option
        for command in those
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


def without_first_cells(page: Path) -> str:
    """The page; in tables that translate, the first cells name what other servers have."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE) if "| adapterd |" in text else text


def is_route(method: str, path: str) -> bool:
    """Whether the API has it; a page may name a parameter as it likes, or give a value for one."""
    named = path.rstrip("/").split("/")
    routes = [route.split(" ") for route in ROLES if route.startswith(f"{method} ")]
    return any(
        len(parts) == len(named)
        and all(
            part.startswith("{") or part == name for part, name in zip(parts, named, strict=True)
        )
        for parts in (route.split("/") for _, route in routes)
    )
