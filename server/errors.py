"""The server's own errors. Docstrings are the messages that users see.

Knows no status: `error_table` maps each error to one.
"""

from __future__ import annotations

from typing import ClassVar

from engine.errors import EngineGone


class ServerError(Exception):
    """The server could not process the call."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class StartFailed(ServerError):
    """The server cannot start."""

    code = "start_failed"


class BadSettings(StartFailed):
    """A setting is wrong."""

    code = "bad_settings"


class PortInUse(StartFailed):
    """Another program listens on the port."""

    code = "port_in_use"


class BadKey(StartFailed):
    """An API key cannot be made so, or there is none of this id."""

    code = "bad_key"


class BadKeyFile(BadKey):
    """The key file cannot be read."""

    code = "bad_key_file"


class BadCertificate(StartFailed):
    """The TLS certificate or its key cannot be used."""

    code = "bad_certificate"


class BadDataDirectory(StartFailed):
    """The data directory cannot be used."""

    code = "bad_data_directory"


class NoReport(ServerError):
    """The version has no report."""

    code = "no_report"


class LinkRefused(ServerError):
    """The link is not one that this server made for this page; make a new one with `adapterd
    adapters report REF --open`.
    """

    code = "link_refused"


class Unauthenticated(ServerError):
    """No valid API key came with the call; send `Authorization: Bearer KEY`."""

    code = "unauthenticated"


class KeysStale(ServerError):
    """The database of API keys could not be read for too long, so no key is accepted until it is
    back; try again later.
    """

    code = "keys_stale"


class Forbidden(ServerError):
    """The API key's role does not allow this."""

    code = "forbidden"


class ForeignHost(Forbidden):
    """The Host or Origin header names a different site than this server."""

    code = "foreign_host"


class BadCall(ServerError):
    """The call cannot be understood."""

    code = "bad_request"


class WorseThanProduction(ServerError):
    """The version is significantly worse than the one in production on the same test rows."""

    code = "worse_than_production"


class BadParameter(BadCall):
    """A parameter of the call has a value that is not allowed."""

    code = "bad_request"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        #: the parameter's name, if it is known
        self.param = param


class TooManyInputs(BadCall):
    """The call has more inputs than this server allows; split it into several calls."""

    code = "too_many_inputs"


class BodyTooLarge(ServerError):
    """The body is larger than this server allows."""

    code = "body_too_large"


class TooSlow(BadCall):
    """The request did not arrive in time; send it again."""

    code = "too_slow"


class UnsupportedMedia(BadCall):
    """This server does not support the encoding or media type of the body."""

    code = "unsupported_media_type"


class HungUp(ServerError):
    """The caller disconnected before the request was complete or answered."""

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
    """The input must be a string or an object with `text`, with `text` and `text_pair`, or with
    `question` and `context`.
    """

    code = "not_text"


class NotMessages(BadInput):
    """The input must be a string or an object with `messages`, each with a role and a content."""

    code = "not_messages"


class EmptyInput(BadInput):
    """The input is empty."""

    code = "empty_input"


class InputTooLong(BadInput):
    """The input is longer than this server or the base allows; shorten it."""

    code = "input_too_long"


class WrongInput(BadInput):
    """The task takes inputs of a different shape, such as a pair instead of one text."""

    code = "wrong_input"


class ForbiddenCharacter(BadInput):
    """The input contains a NUL character or an unpaired surrogate; remove it."""

    code = "forbidden_character"


class Overloaded(ServerError):
    """The queue is full; try again later."""

    code = "overloaded"

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyConnections(Overloaded):
    """Too many connections are open; try again later."""

    code = "too_many_connections"


class TooManyCalls(Overloaded):
    """Too many calls are in progress; try again later."""

    code = "too_many_calls"


class Draining(ServerError):
    """The server is shutting down; try another server, or this one later."""

    code = "draining"


class DeadlinePassed(ServerError):
    """The call's deadline passed before the answer was ready; send less or allow more time."""

    code = "deadline_exceeded"


class AdapterTooLarge(ServerError):
    """The adapter is larger than all slots of this server together."""

    code = "adapter_too_large"


class Stale(EngineGone):
    """The engine was restarted before it received the rows; try again."""

    code = "engine_gone"
