"""What can go wrong in a call, as a tree. Knows codes, not how they travelled."""

from __future__ import annotations

from typing import ClassVar


class AdapterdError(Exception):
    """The call failed."""

    code: ClassVar[str] = "failed"
    #: whether the same call may succeed if it is made again
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        problem: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message or type(self).__doc__)
        #: the server's own code, finer than the class: `unknown_task`, `bad_dataset`, …
        self.problem = problem or self.code
        self.request_id = request_id


class BadSetting(AdapterdError):
    """A setting of the client is wrong."""

    code = "bad_setting"


class PlatformMissing(AdapterdError):
    """This command needs the platform, which is not installed."""

    code = "platform_missing"


class NotFound(AdapterdError):
    """There is no such task, version, alias, job or file."""

    code = "not_found"


class Refused(AdapterdError):
    """The server will not do this, now or later: the request itself is wrong."""

    code = "refused"


class TooLarge(Refused):
    """The request is larger than the server allows."""

    code = "too_large"


class Conflict(Refused):
    """The request does not fit what the server holds now."""

    code = "conflict"


class Unauthenticated(AdapterdError):
    """The server wants a valid key: set ADAPTERD_API_KEY."""

    code = "unauthenticated"


class Forbidden(AdapterdError):
    """The key's role does not allow this."""

    code = "forbidden"


class Unavailable(AdapterdError):
    """The server cannot be reached, or has no room now."""

    code = "unavailable"
    retryable = True


class Overloaded(Unavailable):
    """The server has no room now."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The answer did not come in time."""

    code = "deadline_exceeded"


class ServerFailed(AdapterdError):
    """The server failed."""

    code = "server_failed"


class JobFailed(AdapterdError):
    """The job ended without a version."""

    code = "job_failed"


class RowFailed(AdapterdError):
    """One input of the call failed alone; the others have their answers."""

    code = "row_failed"


class TaskFailed(AdapterdError):
    """One task of the call failed alone; the others have their answers."""

    code = "task_failed"
