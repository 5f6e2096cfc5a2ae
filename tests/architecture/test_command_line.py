"""Every command explains itself, and finds its server in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from adapterd.cli.app import build_command

#: commands that call no server
LOCAL = {
    "audit head", "audit list", "audit verify", "backup", "collect", "demo", "erase file",
    "erase tenant", "keys create",
    "keys list", "keys revoke", "keys rotate-links", "logout",
    "migrate", "profiles", "restore", "serve", "settings",
    "worker",
}  # fmt: skip
#: stores a profile, so it takes none
STORES = {"login"}


def _walk(command: Any, context: typer.Context, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command, context
    for part, child in children.items():
        yield from _walk(
            child,
            typer.Context(child, parent=context, info_name=part, **child.context_settings),
            f"{name} {part}".strip(),
        )


ROOT_COMMAND = build_command()
ROOT_CONTEXT = typer.Context(ROOT_COMMAND, info_name="adapterd", **ROOT_COMMAND.context_settings)
COMMANDS = list(_walk(ROOT_COMMAND, ROOT_CONTEXT))
each_command = pytest.mark.parametrize(
    ("name", "command", "context"), COMMANDS, ids=[name for name, _, _ in COMMANDS]
)


@each_command
def test_every_option_and_argument_has_a_help_text(name: str, command: Any, context: Any) -> None:
    silent = [each.name for each in command.get_params(context) if not each.help]
    assert silent == []
    assert command.help


@each_command
def test_no_flag_shows_a_type(name: str, command: Any, context: Any) -> None:
    flags = [each for each in command.get_params(context) if getattr(each, "is_flag", False)]
    assert flags
    assert {each.metavar for each in flags} == {""}


@each_command
def test_every_command_that_calls_a_server_takes_its_url_or_a_profile(
    name: str, command: Any, context: Any
) -> None:
    options = {option for each in command.get_params(context) for option in each.opts}
    if name not in STORES:
        assert ({"--url", "--profile"} <= options) is (name not in LOCAL)


def test_the_help_shows_no_bool(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("", "train", "serve"):
        with pytest.raises(SystemExit):
            ROOT_COMMAND([*name.split(), "--help"])
        shown = capsys.readouterr().out
        assert "--help" in shown
        assert "<bool>" not in shown
