"""Routes: each has a role that callers need, and a shape of its errors.

A route that `ROLES` lacks stops the server from starting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any, ClassVar

from fastapi import Depends, FastAPI, Request
from fastapi.params import File, Form
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from server.audit import note_fault
from server.auth.authenticator import Authenticator, require
from server.auth.caller import Caller, Role
from server.errors import StartFailed
from server.http_api.error_shape import FILE_PROBLEM, OPENAI, PROBLEM, ErrorShape
from server.http_api.form import StrictRequest
from server.http_api.middleware import PUBLIC
from server.http_api.openai_error import is_lacking
from server.http_api.problem import http_fault
from server.service.service import Service

_TUNING = "/v1/fine_tuning/jobs/{job_id}"
_ALIAS = "/v1/tasks/{task}/aliases/{alias}"
#: None: answered without a key
ROLES: dict[str, Role | None] = {
    "GET /health/live": None,
    "GET /health/ready": None,
    "GET /docs": None,
    "GET /docs/start.js": None,
    "GET /docs/swagger-ui-bundle.js": None,
    "GET /docs/swagger-ui.css": None,
    "GET /v1/info": Role.READ,
    "POST /v1/tasks/{ref}/predict": Role.USE,
    "POST /v1/predict": Role.USE,
    "POST /v1/completions": Role.USE,
    "POST /v1/chat/completions": Role.USE,
    "POST /v1/embeddings": Role.USE,
    "GET /v1/models": Role.READ,
    "GET /v1/models/{ref:path}": Role.READ,
    "DELETE /v1/models/{ref:path}": Role.ADMIN,
    "GET /v1/tasks": Role.READ,
    "GET /v1/tasks/{task}": Role.READ,
    "DELETE /v1/tasks/{task}": Role.ADMIN,
    "GET /v1/versions": Role.READ,
    "GET /v1/tasks/{task}/versions": Role.READ,
    "POST /v1/tasks/{task}/versions": Role.ADMIN,
    "GET /v1/tasks/{task}/versions/{number}": Role.READ,
    "DELETE /v1/tasks/{task}/versions/{number}": Role.ADMIN,
    "GET /v1/tasks/{task}/versions/{number}/export": Role.READ,
    "GET /v1/tasks/{task}/versions/{number}/lineage": Role.READ,
    "GET /v1/tasks/{task}/versions/{number}/report": Role.READ,
    "POST /v1/tasks/{task}/versions/{number}/report-links": Role.READ,
    "GET /v1/tasks/{task}/aliases": Role.READ,
    f"PUT {_ALIAS}": Role.ADMIN,
    f"DELETE {_ALIAS}": Role.ADMIN,
    f"POST {_ALIAS}/rollback": Role.ADMIN,
    f"GET {_ALIAS}/history": Role.READ,
    "POST /v1/files": Role.ADMIN,
    "GET /v1/files": Role.READ,
    "GET /v1/files/{file_id}": Role.READ,
    "GET /v1/files/{file_id}/content": Role.READ,
    "DELETE /v1/files/{file_id}": Role.ADMIN,
    "POST /v1/files/{file_id}/check": Role.ADMIN,
    "GET /v1/audit": Role.ADMIN,
    "DELETE /v1/tenant": Role.ADMIN,
    "POST /v1/jobs": Role.ADMIN,
    "GET /v1/jobs": Role.READ,
    "GET /v1/jobs/{job_id}": Role.READ,
    "POST /v1/jobs/{job_id}/cancel": Role.ADMIN,
    "POST /v1/jobs/{job_id}/pause": Role.ADMIN,
    "POST /v1/jobs/{job_id}/resume": Role.ADMIN,
    "GET /v1/jobs/{job_id}/events": Role.READ,
    "GET /v1/jobs/{job_id}/checkpoints": Role.READ,
    "POST /v1/fine_tuning/jobs": Role.ADMIN,
    "GET /v1/fine_tuning/jobs": Role.READ,
    f"GET {_TUNING}": Role.READ,
    f"POST {_TUNING}/cancel": Role.ADMIN,
    f"POST {_TUNING}/pause": Role.ADMIN,
    f"POST {_TUNING}/resume": Role.ADMIN,
    f"GET {_TUNING}/events": Role.READ,
    f"GET {_TUNING}/checkpoints": Role.READ,
}

#: what an unmatched path shares with a route; the path /v1/chat itself is none of OpenAI's
_RESOURCE = re.compile(r"/v1/(?:chat/|[^/]+)")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """Checks the role before anything of the request is read, and answers every error in its
    `error_shape`.
    """

    error_shape: ClassVar[ErrorShape] = PROBLEM

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        names = [f"{method} {path}" for method in sorted(self.methods or ())]
        for name in names:
            if name not in ROLES:
                raise StartFailed(f"the HTTP route {name} has no role in the table")
        self.role = ROLES[names[0]]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """A GET route also answers HEAD; the middleware leaves the body out."""
        match, child_scope = super().matches(scope)
        if match is Match.PARTIAL and self._answers_head(scope):
            match = Match.FULL
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = self.app if self._answers_head(scope) else super().handle
        await handle(scope, receive, send)

    def _answers_head(self, scope: Scope) -> bool:
        return scope["method"] == "HEAD" and "GET" in (self.methods or ())

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()
        form = [field for field in self.dependant.body_params if isinstance(field.field_info, Form)]
        files = [field.alias for field in form if isinstance(field.field_info, File)]
        fields = [field.alias for field in form if field.alias not in files]

        async def answer_guarded(request: Request) -> Response:
            try:
                if self.role is not None:
                    require(request.state.caller, self.role)
                strict = StrictRequest(request.scope, request.receive, fields, files)
                return await answer(strict)
            except Exception as error:  # noqa: BLE001 a transport translates whatever comes
                return _refusal(error, request, self.error_shape)

        return answer_guarded


class OpenAIRoute(GuardedRoute):
    """A route of OpenAI's API."""

    error_shape = OPENAI


class FileRoute(GuardedRoute):
    """A route of files, which OpenAI's clients and ours call."""

    error_shape = FILE_PROBLEM


def guarded_routes(app: FastAPI) -> Iterator[GuardedRoute]:
    return (route for route in app.routes if isinstance(route, GuardedRoute))


def error_shape_of(app: FastAPI, scope: Scope) -> ErrorShape:
    """That of the route which the path matches, by whatever method; else that of the routes of the
    same resource.
    """
    path: str = scope["path"]
    for route in guarded_routes(app):
        if _matches(route, scope):
            return route.error_shape
    if is_lacking(path):
        return OPENAI
    resources = ((_RESOURCE.match(route.path), route) for route in guarded_routes(app))
    shapes = {match[0]: route.error_shape for match, route in resources if match}
    prefixes = [prefix for prefix in shapes if path.startswith(prefix)]
    return shapes[max(prefixes, key=len)] if prefixes else PROBLEM


def allowed_methods(app: FastAPI, scope: Scope) -> str:
    """The methods that the routes of a path have, for the header `Allow`."""
    routes = [route for route in app.routes if _matches(route, scope)]
    methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def check_routes(app: FastAPI) -> None:
    """Raises StartFailed for a route that is neither guarded nor on the public list."""
    for route in app.routes:
        if not isinstance(route, GuardedRoute) and getattr(route, "path", None) not in PUBLIC:
            raise StartFailed(f"the HTTP route {route} is not guarded")


def _matches(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(dict(scope))[0] is not Match.NONE


def _refusal(error: Exception, request: Request, shape: ErrorShape) -> Response:
    fault = http_fault(error)
    request_id: str = request.state.request_id
    caller: Caller | None = getattr(request.state, "caller", None)
    note_fault(error, fault, method=request.url.path, request_id=request_id, caller=caller)
    return shape.render(fault, request_id)


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _authenticator(request: Request) -> Authenticator:
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


#: dependencies of endpoints
CallerOf = Annotated[Caller, Depends(_caller)]
ServiceOf = Annotated[Service, Depends(_service)]
AuthenticatorOf = Annotated[Authenticator, Depends(_authenticator)]
