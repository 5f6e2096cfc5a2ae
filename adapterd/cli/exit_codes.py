"""The exit statuses of the command (documented in docs/command-line.md)."""

from __future__ import annotations

from enum import IntEnum

from adapterd import errors


class ExitCode(IntEnum):
    """The exit statuses by their meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNAVAILABLE = 5
    DENIED = 6
    DO_NOT_SHIP = 7
    INTERRUPTED = 130
    #: as the shell has it for a program that SIGPIPE ended
    CLOSED_PIPE = 141


_BY_ERROR: tuple[tuple[type[errors.AdapterdError], ExitCode], ...] = (
    (errors.BadSetting, ExitCode.USAGE),
    (errors.PlatformMissing, ExitCode.USAGE),
    (errors.NotFound, ExitCode.NOT_FOUND),
    (errors.Refused, ExitCode.REFUSED),
    (errors.RowFailed, ExitCode.REFUSED),
    (errors.TaskFailed, ExitCode.REFUSED),
    (errors.Unavailable, ExitCode.UNAVAILABLE),
    (errors.Unauthenticated, ExitCode.DENIED),
    (errors.Forbidden, ExitCode.DENIED),
    (errors.Untrusted, ExitCode.DENIED),
)


def exit_code(error: errors.AdapterdError) -> ExitCode:
    if error.problem == errors.BadSetting.code:  # also where the server found it
        return ExitCode.USAGE
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILED)
