"""The API's description (`/openapi.json`): the framework's, completed by what the framework cannot
know: the key, the shapes and statuses of errors, the streams, the bounds of names and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.auth.caller import Role
from server.error_table import TABLE
from server.http_api.error_shape import FILE_PROBLEM, OPENAI, PROBLEM
from server.http_api.openai.fine_tuning_body import Create
from server.http_api.openapi.answers import ANSWERS, OUTPUTS
from server.http_api.openapi.answers import OPENAI as OPENAI_ANSWERS
from server.http_api.openapi.choices import name_choices
from server.http_api.openapi.examples import ANSWERS as ANSWER_EXAMPLES
from server.http_api.openapi.examples import REQUESTS
from server.http_api.route import GuardedRoute, guarded_routes
from server.service.page import MAX_LIMIT
from server.service.resources.files import MAX_LIMIT as MOST_FILES

_JSON = "application/json"
_EVENTS = "text/event-stream"
_KEY = "key"
_NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
#: bounds of path and query parameters by name, which the service checks
_PARAMETERS: dict[str, dict[str, Any]] = {
    "task": {"pattern": _NAME},
    "alias": {"pattern": _NAME},
    "number": {"minimum": 1, "maximum": 999_999_999},
    "ref": {"minLength": 1},
    "dataset": {"pattern": "^[0-9a-f]{64}$", "description": "a sha256"},
}
#: statuses of errors: of public routes, of all others, of routes with parameters, of routes with a
#: body, of routes that call the engine, of routes that change stored data
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

#: bodies that a route parses by a type of its own
_BODIES: dict[str, type[Any]] = {"POST /v1/fine_tuning/jobs": Create}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description, which is built once: it is the same for every caller."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):  # never sent
            schemas.pop(name, None)
        schemas.update(_schemas())
        name_choices(schemas)
        outputs = [{"$ref": f"#/components/schemas/{name}"} for name in OUTPUTS]
        schemas["PredictOut"]["properties"]["outputs"]["items"] = {"anyOf": outputs}
        document["components"]["securitySchemes"] = {
            _KEY: {"type": "http", "scheme": "bearer", "description": "a key of `adapterd keys`"}
        }
        for route in guarded_routes(app):
            if route.include_in_schema:
                for method in route.methods or ():
                    operation = document["paths"][route.path_format][method.lower()]
                    _complete(f"{method} {route.path}", route, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(name: str, route: GuardedRoute, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        _constrain(parameter, MOST_FILES if name == "GET /v1/files" else MAX_LIMIT)
    if name in _BODIES:
        operation["requestBody"] = {"required": True, "content": {_JSON: _schema(_BODIES[name])}}
    responses = operation["responses"]
    responses.pop("422", None)
    if name in ANSWERS:
        answer = f"#/components/schemas/{ANSWERS[name]}"
        responses["200"].setdefault("content", {})[_JSON] = {"schema": {"$ref": answer}}
    if route.role is not None:
        operation["security"] = [{_KEY: []}]
    if route.path in _STREAMS:
        responses["200"]["content"][_EVENTS] = {
            "schema": {"type": "string", "description": _STREAMS[route.path]}
        }
    _show_examples(name, operation)
    shape = route.error_shape
    for status in sorted(_statuses(route.role, operation)):
        responses[str(status)] = {
            "description": _TITLES[status],
            "content": {shape.media_type: _schema(shape.body)},
        }


def _show_examples(name: str, operation: dict[str, Any]) -> None:
    if name in REQUESTS:
        operation["requestBody"]["content"][_JSON]["example"] = REQUESTS[name]
    if name in ANSWER_EXAMPLES:
        success = next(each for each in sorted(operation["responses"]) if each.startswith("2"))
        operation["responses"][success]["content"][_JSON]["example"] = ANSWER_EXAMPLES[name]


def _statuses(role: Role | None, operation: Mapping[str, Any]) -> set[int]:
    """The statuses of the errors that an operation can answer."""
    if role is None:
        return _PUBLIC
    statuses = set(_ALWAYS)
    if operation.get("parameters"):
        statuses |= _NAMING
    if "requestBody" in operation:
        statuses |= _SENDING
    if role is Role.USE:
        statuses |= _ASKING
    if role is Role.ADMIN:
        statuses |= _CHANGING
    return statuses


def _constrain(parameter: dict[str, Any], most: int) -> None:
    schema = parameter["schema"]
    schema.update(_PARAMETERS.get(parameter["name"], {}))
    if parameter["name"] == "limit":
        schema |= {"minimum": 1, "maximum": most}
        if schema.get("default") == 0:
            del schema["default"]  # 0 stands for a limit that is left out


def _schema(body: type[Any]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}


def _schemas() -> dict[str, Any]:
    """The schemas that the framework lacks: errors, bodies and answers of routes that parse and
    encode them themselves.
    """
    errors = (shape.body for shape in (PROBLEM, FILE_PROBLEM, OPENAI))
    _, schemas = msgspec.json.schema_components(
        (*errors, *_BODIES.values()), ref_template="#/components/schemas/{name}"
    )
    return {**schemas, **OUTPUTS, **OPENAI_ANSWERS}
