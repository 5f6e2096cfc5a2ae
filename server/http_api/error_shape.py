"""The shapes that errors have. Each class of routes has one: problem documents, OpenAI's errors, or
both in one where files are, which clients of either API call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from server.error_table import Fault
from server.http_api import openai_error, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorShape:
    """`render` makes the response to a fault and a request id; its body is a `body`."""

    body: type[Any]
    media_type: str
    render: Callable[[Fault, str], Response]


class FileProblem(problem.Problem):
    """A problem document that OpenAI's clients read as theirs."""

    error: openai_error.ErrorDetail


def _render_openai(fault: Fault, request_id: str) -> Response:
    del request_id  # only a header holds it
    return openai_error.render(fault, problem.headers_of(fault))


def _render_file_problem(fault: Fault, request_id: str) -> Response:
    both = FileProblem(**problem.document(fault, request_id), **openai_error.document(fault))
    headers = problem.headers_of(fault) | openai_error.should_retry(fault)
    return Response(msgspec.json.encode(both), fault.outside.http, headers, problem.MEDIA_TYPE)


PROBLEM = ErrorShape(body=problem.Problem, media_type=problem.MEDIA_TYPE, render=problem.render)
OPENAI = ErrorShape(
    body=openai_error.ErrorBody, media_type="application/json", render=_render_openai
)
FILE_PROBLEM = ErrorShape(
    body=FileProblem, media_type=problem.MEDIA_TYPE, render=_render_file_problem
)
