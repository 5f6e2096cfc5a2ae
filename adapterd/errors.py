"""The errors of the client, as a tree. Knows error codes and no transport."""

from __future__ import annotations

from typing import ClassVar


class AdapterdError(Exception):
    """The call failed."""

    code: ClassVar[str] = "failed"
    #: whether the same call may succeed if it is retried
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        problem: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))
        #: the server's own code, finer than the class: `unknown_task`, `bad_dataset`, …
        self.problem = problem or self.code
        self.request_id = request_id


class BadSetting(AdapterdError):
    """A client setting or a command option is invalid."""

    code = "bad_setting"


class PlatformMissing(AdapterdError):
    """This command needs the server's packages, which are not installed."""

    code = "platform_missing"


class NotFound(AdapterdError):
    """There is no such task, version, alias, job or file."""

    code = "not_found"


class Refused(AdapterdError):
    """The server rejected the request as invalid; retrying it is useless."""

    code = "refused"


class InvalidInput(Refused, TypeError):
    """An input of a call has a type or fields that no task takes."""

    code = "invalid_input"


class TooLarge(Refused):
    """The request is larger than the server allows."""

    code = "too_large"


class Conflict(Refused):
    """The request conflicts with the current state of the server."""

    code = "conflict"


class Unauthenticated(AdapterdError):
    """The server requires a valid API key: set ADAPTERD_API_KEY."""

    code = "unauthenticated"


class Untrusted(AdapterdError):
    """The certificate of the server cannot be verified; nothing was sent."""

    code = "untrusted"


class Forbidden(AdapterdError):
    """The key's role does not allow this."""

    code = "forbidden"


class Unavailable(AdapterdError):
    """The server cannot be reached or cannot take the request now."""

    code = "unavailable"
    retryable = True


class Overloaded(Unavailable):
    """The server's queue is full."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The answer did not arrive before the deadline."""

    code = "deadline_exceeded"


class ServerFailed(AdapterdError):
    """The server failed."""

    code = "server_failed"


class JobFailed(AdapterdError):
    """The job ended without publishing a version."""

    code = "job_failed"


class RowFailed(AdapterdError):
    """Inputs of the call have no answer; the others do."""

    code = "row_failed"


class TaskFailed(AdapterdError):
    """Tasks of the call have no answer; the others do."""

    code = "task_failed"
