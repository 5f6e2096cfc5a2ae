"""Splits the text of a shell block into its commands, as a reader would type them one by one."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator

_EXIT_STATUS = re.compile(r"#.*\bexit status (\d+)")
_COMMENT = re.compile(r"(^|\s+)#\s.*$")


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Each command with its first line, from 0; lines are joined until the shell accepts them."""
    pending: list[str] = []
    begin = 0
    for number, line in enumerate(text.splitlines()):
        if not pending:
            begin = number
            if not without_comment(line).strip():
                continue
        pending.append(line)
        command = "\n".join(pending)
        if _is_complete(command):
            yield begin, command
            pending = []
    if pending:
        yield begin, "\n".join(pending)


def expected_status(command: str) -> int:
    """0, or what a comment behind the command says: `# exit status 4`."""
    found = _EXIT_STATUS.search(command)
    return int(found[1]) if found else 0


def without_comment(line: str) -> str:
    return _COMMENT.sub("", line)


def words(command: str) -> list[str]:
    """Its words without comments; variables stay as they are written."""
    return shlex.split(command.replace("\\\n", " "), comments=True)


def _is_complete(command: str) -> bool:
    if command.endswith("\\"):
        return False
    tried = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return tried.returncode == 0 and not tried.stderr
