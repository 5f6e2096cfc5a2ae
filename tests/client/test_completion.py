"""The shells complete commands, options and the names of profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapterd.profiles import Profile, ProfileFile
from adapterd.settings import profile_path
from tests.client.commands import Run, command_runner

#: by shell: the variables that tell what is typed
TYPED = {
    "bash": lambda line: {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
    "zsh": lambda line: {"_TYPER_COMPLETE_ARGS": line},
    "fish": lambda line: {
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return command_runner(monkeypatch, capsys)


@pytest.mark.parametrize("shell", TYPED)
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("adapterd pred", "predict"),
        ("adapterd jobs wa", "watch"),
        ("adapterd tasks --prof", "--profile"),
        ("adapterd tasks --profile pr", "prod"),
    ],
)
def test_a_shell_completes_what_is_typed(
    run: Run, monkeypatch: pytest.MonkeyPatch, shell: str, line: str, word: str
) -> None:
    ProfileFile(path=profile_path()).put("prod", Profile(url="http://x:1")).write()
    for name, value in TYPED[shell](line).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("_ADAPTERD_COMPLETE", f"complete_{shell}")
    completed = re.findall(r"--profile|[a-z]{4,}(?=[\n\t:\"]|$)", run().out)
    assert completed[:1] == [word]


@pytest.mark.parametrize("shell", TYPED)
def test_each_shell_gets_a_script(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_ADAPTERD_COMPLETE", f"source_{shell}")
    assert f"_ADAPTERD_COMPLETE=complete_{shell}" in run().out.replace("'", "")
