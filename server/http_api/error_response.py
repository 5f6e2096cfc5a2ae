"""Errors as each surface says them: OpenAI's shape on its routes, problem documents elsewhere, and
both in one where files are, which both speak of.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from server.error_table import Fault
from server.http_api import problem
from server.http_api.openai_error import ErrorDetail, document, render, should_retry, speaks_openai

_FILES = "/v1/files"


class FileProblem(problem.Problem):
    """A problem document that OpenAI's clients read as theirs."""

    error: ErrorDetail


def is_of_files(path: str) -> bool:
    return path.startswith(_FILES)


def refusal(fault: Fault, path: str, request_id: str) -> Response:
    if speaks_openai(path):
        return render(fault, problem.headers_of(fault))
    if is_of_files(path):
        both = FileProblem(**problem.document(fault, request_id), **document(fault))
        headers = problem.headers_of(fault) | should_retry(fault)
        return Response(msgspec.json.encode(both), fault.outside.http, headers, problem.MEDIA_TYPE)
    return problem.render(fault, request_id)
