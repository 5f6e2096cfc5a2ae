"""Errors as each surface says them: OpenAI's shape on its routes, problem documents elsewhere."""

from __future__ import annotations

from starlette.responses import Response

from server.error_table import Fault
from server.http_api import problem
from server.http_api.openai.problem import render, speaks_openai


def refusal(fault: Fault, path: str, request_id: str) -> Response:
    if speaks_openai(path):
        return render(fault, problem.headers_of(fault))
    return problem.render(fault, request_id)
