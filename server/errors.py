"""The server's own error tree.

How each error looks to a caller is the business of `error_table`.
"""

from __future__ import annotations

from typing import ClassVar

from engine.errors import EngineGone


class ServerError(Exception):
    """The server could not do what was asked."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class StartFailed(ServerError):
    """The server cannot start."""

    code = "start_failed"


class BadSettings(StartFailed):
    """A setting is wrong."""

    code = "bad_settings"


class PortInUse(StartFailed):
    """Another program listens on the port."""

    code = "port_in_use"


class BadKeyFile(StartFailed):
    """The key file cannot be read."""

    code = "bad_key_file"


class BadDataDirectory(StartFailed):
    """The data directory cannot be used."""

    code = "bad_data_directory"


class NoReport(ServerError):
    """The version has no report."""

    code = "no_report"


class Unauthenticated(ServerError):
    """No valid API key came with the call; send `Authorization: Bearer KEY`."""

    code = "unauthenticated"


class Forbidden(ServerError):
    """The API key's role does not allow this."""

    code = "forbidden"


class ForeignHost(Forbidden):
    """The Host or Origin header names another site than this server."""

    code = "foreign_host"


class BadCall(ServerError):
    """The call cannot be understood."""

    code = "bad_request"


class BadParameter(BadCall):
    """A parameter of the call has a value that it cannot have."""

    code = "bad_request"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        #: its name, where it is known
        self.param = param


class TooManyInputs(BadCall):
    """The call holds more inputs than allowed."""

    code = "too_many_inputs"


class BodyTooLarge(ServerError):
    """The body is larger than allowed."""

    code = "body_too_large"


class TooSlow(BadCall):
    """The request took too long to come."""

    code = "too_slow"


class UnsupportedMedia(BadCall):
    """The body is encoded in a way that this server does not read."""

    code = "unsupported_media_type"


class HungUp(ServerError):
    """The caller left before its request was complete, or answered."""

    code = "hung_up"


class UnknownMethod(ServerError):
    """There is no such gRPC method."""

    code = "unknown_method"


class UnknownService(ServerError):
    """There is no such gRPC service."""

    code = "unknown_service"


class BadInput(ServerError):
    """The input cannot be read."""

    code = "bad_input"


class NotText(BadInput):
    """The input is neither text nor an object with `text`, with `text` and `text_pair`, or with
    `question` and `context`.
    """

    code = "not_text"


class NotMessages(BadInput):
    """The input is neither text nor an object with `messages`, each with a role and its content."""

    code = "not_messages"


class EmptyInput(BadInput):
    """The input is empty."""

    code = "empty_input"


class InputTooLong(BadInput):
    """The input is longer than allowed."""

    code = "input_too_long"


class WrongInput(BadInput):
    """The task takes another shape of input than this one."""

    code = "wrong_input"


class ForbiddenCharacter(BadInput):
    """The input holds a NUL or half of a surrogate pair, which is not text."""

    code = "forbidden_character"


class Overloaded(ServerError):
    """More rows are waiting than the queue may hold; try again later."""

    code = "overloaded"

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyConnections(Overloaded):
    """Too many connections are open; try again later."""

    code = "too_many_connections"


class TooManyCalls(Overloaded):
    """Too many calls are under way; try again later."""

    code = "too_many_calls"


class Draining(ServerError):
    """The server is shutting down; try another one, or again later."""

    code = "draining"


class DeadlinePassed(ServerError):
    """The call's deadline passed before the answer was ready."""

    code = "deadline_exceeded"


class AdapterTooLarge(ServerError):
    """The adapter alone does not fit the slots of this server."""

    code = "adapter_too_large"


class Stale(EngineGone):
    """The engine was replaced before the rows reached it."""

    code = "engine_gone"
