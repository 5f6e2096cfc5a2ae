"""The middleware of every HTTP request: host and origin, credentials, body limits, request id, one
metric.

Plain ASGI that denies by default: only the paths of `PUBLIC` are answered without credentials.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters_registry.audit.actor import act_from_now
from server.audit import note_fault
from server.auth.authenticator import Authenticator, request_id_of
from server.auth.caller import Caller
from server.auth.signed_link import has_signature
from server.errors import BodyTooLarge, ForeignHost, TooSlow, UnsupportedMedia
from server.health import Health
from server.http_api.error_shape import ErrorShape
from server.http_api.form import check_charset
from server.http_api.problem import http_fault
from server.limits import BodyLimits
from server.metrics.metrics import UNMATCHED, Metrics

#: answered without a key
PUBLIC = frozenset(
    {
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/docs",
        "/docs/start.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
    }
)
#: the paths that a link may open end with it
_PAGE = "/report"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: room for multipart boundaries and form fields beside the files
_FORM_BYTES = 2**20


class AccessMiddleware:
    """Wraps the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        error_shape_of: Callable[[Scope], ErrorShape],
        authenticator: Authenticator,
        health: Health,
        metrics: Metrics,
        limits: BodyLimits,
        allowed_hosts: frozenset[str],
    ) -> None:
        self._app = app
        self._error_shape_of = error_shape_of
        self._authenticator = authenticator
        self._health = health
        self._metrics = metrics
        self._limits = limits
        self._hosts = _LOOPBACK | allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        answer = _Answer(
            send,
            request_id_of(headers.get("x-request-id")),
            lambda: self._health.is_draining,
            head_only=scope["method"] == "HEAD",
        )
        scope.setdefault("state", {})["request_id"] = answer.request_id
        try:
            self._check_host(headers)
            if scope["path"] not in PUBLIC:
                caller = self._authenticate(scope, headers, answer.request_id)
                scope["state"]["caller"] = caller
                act_from_now(caller.actor)  # each request has a task of its own
                # streams check again while they run
                scope["state"]["confirm"] = partial(self._authenticator.confirm, caller)
            _check_media(headers)
            capped = _limit(receive, self._cap(scope, headers), self._limits)
            await self._app(scope, capped, answer.send)
        except Exception as error:
            if answer.status:
                raise  # the response has begun: only closing the connection can show the failure
            fault, caller = http_fault(error), scope["state"].get("caller")
            note_fault(
                error, fault, method=scope["path"], request_id=answer.request_id, caller=caller
            )
            response = self._error_shape_of(scope).render(fault, answer.request_id)
            await response(scope, receive, answer.send)
        finally:
            self._observe(scope, answer, time.perf_counter() - started)

    def _authenticate(self, scope: Scope, headers: Headers, request_id: str) -> Caller:
        """By its key, or for a page by the link that it is opened with."""
        authorization, query = headers.get("authorization"), scope["query_string"].decode("latin-1")
        is_page = scope["method"] in ("GET", "HEAD") and scope["path"].endswith(_PAGE)
        if is_page and authorization is None and has_signature(query):
            return self._authenticator.link_caller(scope["path"], query, request_id)
        return self._authenticator.caller(authorization, request_id)

    def _check_host(self, headers: Headers) -> None:
        """A page of another site must not reach this server through its user's browser."""
        host = _host_name(headers.get("host", ""))
        origin = headers.get("origin")
        if origin is not None and not _is_from(origin, headers.get("host", "")):
            raise ForeignHost
        if self._authenticator.is_open and host not in self._hosts:
            raise ForeignHost(
                f"The Host header names {host[:64]!r}; this server answers to loopback names only."
            )

    def _cap(self, scope: Scope, headers: Headers) -> int:
        is_upload = scope["path"] == "/v1/files" or scope["path"].endswith("/versions")
        limits = self._limits
        cap = limits.max_upload_bytes + _FORM_BYTES if is_upload else limits.max_bytes
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > cap:
            raise _too_large(cap)
        return cap

    def _observe(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        self._metrics.observe_request(
            transport="http",
            method=_label(scope),
            code=str(answer.status or 499),
            seconds=seconds,
        )


class _Answer:
    """Sends the response: adds the request id, and closes the connections of a draining server, so
    that callers connect to another one.
    """

    def __init__(
        self, send: Send, request_id: str, is_draining: Callable[[], bool], *, head_only: bool
    ) -> None:
        self._send = send
        self._head_only = head_only
        self.request_id = request_id
        self._is_draining = is_draining
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if self._is_draining():
                headers["connection"] = "close"
            await self._send(message)
            if self._head_only:  # instead of the body, which may be an endless stream
                await self._send({"type": "http.response.body"})
        elif not self._head_only:
            await self._send(message)


def _check_media(headers: Headers) -> None:
    """Raises UnsupportedMedia for a body that is compressed, or text in another charset."""
    for encoding in headers.getlist("content-encoding"):
        if encoding.strip().lower() not in ("", "identity"):
            raise UnsupportedMedia(
                f"The body is encoded as {encoding[:40]!r}; send it without Content-Encoding."
            )
    for content_type in headers.getlist("content-type"):
        check_charset(content_type)


def _limit(receive: Receive, cap: int, limits: BodyLimits) -> Receive:
    """Stops reading a body that exceeds the cap, whatever its headers say, or that arrives too
    slowly: no part of it for a while, or too few bytes in total.
    """
    started = time.monotonic()
    num_bytes = 0
    has_more = True

    async def read() -> Message:
        nonlocal num_bytes, has_more
        if not has_more:
            return await receive()  # waits for the disconnect, without a limit of time
        left_s = started + limits.allowed_s(num_bytes) - time.monotonic()
        try:
            async with asyncio.timeout(min(limits.stall_s, left_s)):
                message = await receive()
        except TimeoutError:
            raise _too_slow(limits, num_bytes, stood_still=left_s > limits.stall_s) from None
        num_bytes += len(message.get("body", b""))
        has_more = message.get("more_body", False)
        if num_bytes > cap:
            raise _too_large(cap)
        return message

    return read


def _too_slow(limits: BodyLimits, num_bytes: int, *, stood_still: bool) -> TooSlow:
    if stood_still:
        return TooSlow(f"No part of the body came for {limits.stall_s:g} s.")
    allowed_s = limits.allowed_s(num_bytes)
    return TooSlow(f"Only {num_bytes} bytes of the body came in {allowed_s:.3g} s.")


def _too_large(cap: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {cap} bytes allowed here.")


def _label(scope: Scope) -> str:
    """Only from the route table: a caller may send any method and path."""
    route = scope.get("route")
    methods = route.methods or () if route is not None else ()
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return f"{method} {route.path}" if route is not None and method in methods else UNMATCHED


def _is_from(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
