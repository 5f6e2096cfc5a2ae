"""The API's description (`/openapi.json`): the framework's own, with what it cannot know of us: the
key, how errors look and which statuses come, what is streamed, which names and numbers are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.auth.caller import Role
from server.error_table import TABLE
from server.http_api.error_response import FileProblem, is_of_files
from server.http_api.openai.fine_tuning_body import Create
from server.http_api.openai_error import ErrorBody, speaks_openai
from server.http_api.problem import MEDIA_TYPE, Problem
from server.http_api.route import ROLES
from server.service.page import MAX_LIMIT
from server.service.resources.files import MAX_LIMIT as MOST_FILES

_JSON = "application/json"
_EVENTS = "text/event-stream"
_KEY = "key"
_NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
#: of path and query parameters by name, what the service refuses else
_PARAMETERS: dict[str, dict[str, Any]] = {
    "task": {"pattern": _NAME},
    "alias": {"pattern": _NAME},
    "number": {"minimum": 1, "maximum": 999_999_999},
    "ref": {"minLength": 1},
    "dataset": {"pattern": "^[0-9a-f]{64}$", "description": "a sha256"},
}
#: statuses of public routes, of all others, of those that name something, that send a body, that
#: ask the engine, that change what is stored
_PUBLIC = {403}
_ALWAYS = {400, 401, 403, 429, 500, 503}
_NAMING = {404}
_SENDING = {408, 413, 415}
_ASKING = {404, 422, 504}
_CHANGING = {404, 409, 422, 507}
_TITLES = {outside.http: outside.title for outside in TABLE.values()}
_STREAMS = {
    "/v1/chat/completions": "chunks as OpenAI streams them, ended by `[DONE]`",
    "/v1/completions": "chunks as OpenAI streams them, ended by `[DONE]`",
    "/v1/jobs/{job_id}/events": "with `stream`: an event of the job each, ended by `[DONE]`",
    "/v1/fine_tuning/jobs/{job_id}/events": (
        "with `stream`: an event of the job each, ended by `[DONE]`"
    ),
}

#: bodies that a route reads by a type of ours
_BODIES: dict[str, type[Any]] = {"POST /v1/fine_tuning/jobs": Create}


def describe(app: FastAPI) -> dict[str, Any]:
    """Made once: it is the same for every caller."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):  # never sent
            schemas.pop(name, None)
        schemas.update(_schemas())
        made["components"]["securitySchemes"] = {
            _KEY: {"type": "http", "scheme": "bearer", "description": "a key of `adapterd keys`"}
        }
        for name, operation in _operations(made["paths"]):
            _complete(name, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def _complete(name: str, operation: dict[str, Any]) -> None:
    _, path = name.split(" ")
    role = next(ROLES[each] for each in (name, f"{name[:-1]}:path}}") if each in ROLES)
    for parameter in operation.get("parameters", ()):
        _constrain(parameter, MOST_FILES if name == "GET /v1/files" else MAX_LIMIT)
    if name in _BODIES:
        operation["requestBody"] = {"required": True, "content": {_JSON: _named(_BODIES[name])}}
    responses = operation["responses"]
    responses.pop("422", None)
    if role is not None:
        operation["security"] = [{_KEY: []}]
    if path in _STREAMS:
        responses["200"]["content"][_EVENTS] = {
            "schema": {"type": "string", "description": _STREAMS[path]}
        }
    for status in sorted(_statuses(role, operation)):
        responses[str(status)] = {
            "description": _TITLES[status],
            "content": _error_content(path),
        }


def _statuses(role: Role | None, operation: Mapping[str, Any]) -> set[int]:
    """Those of errors that its kind of call can meet."""
    if role is None:
        return _PUBLIC
    found = set(_ALWAYS)
    if operation.get("parameters"):
        found |= _NAMING
    if "requestBody" in operation:
        found |= _SENDING
    if role is Role.USE:
        found |= _ASKING
    if role is Role.ADMIN:
        found |= _CHANGING
    return found


def _constrain(parameter: dict[str, Any], most: int) -> None:
    schema = parameter["schema"]
    schema.update(_PARAMETERS.get(parameter["name"], {}))
    if parameter["name"] == "limit":
        schema |= {"minimum": 1, "maximum": most}
        if schema.get("default") == 0:
            del schema["default"]  # our own sign of what is left out


def _error_content(path: str) -> dict[str, Any]:
    if speaks_openai(path):
        return {_JSON: _named(ErrorBody)}
    return {MEDIA_TYPE: _named(FileProblem if is_of_files(path) else Problem)}


def _named(body: type[Any]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}


def _schemas() -> dict[str, Any]:
    """Of what the framework does not know: errors, and bodies that routes read themselves."""
    _, found = msgspec.json.schema_components(
        (Problem, FileProblem, ErrorBody, *_BODIES.values()),
        ref_template="#/components/schemas/{name}",
    )
    return dict(found)
